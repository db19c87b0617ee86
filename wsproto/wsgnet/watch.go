package wsgnet

import (
	"fmt"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// watch is what is known about a peer since the last look at it. gnet has no timers of connections:
// each has one of Go's, which posts a look to the loop, and so costs nothing per message.
type watch struct {
	timer    *time.Timer
	armed    bool          // the timer is
	due      time.Time     // when it is to fire
	silent   time.Duration // how long nothing has arrived
	stuck    time.Duration // how long an unfinished message has not grown
	received uint64        // bytes of the unfinished message
	messages uint32        // that have arrived in all
	seen     uint32        // messages at the last look
	waiting  int           // bytes that the peer had not taken
	active   bool          // something has arrived
	pinged   bool          // a ping waits for its answer
	begun    bool          // a message was unfinished at the last look
	finSent  bool
	last     time.Time // when the connection ends, however slowly the peer takes what was sent
}

// maxLinger is how long a connection may take to end in all.
const maxLinger = 5 * time.Minute

// setLast sets last, unless it is set.
func (w *watch) setLast() {
	if w.last.IsZero() {
		w.last = time.Now().Add(maxLinger)
	}
}

// isLast reports whether last has come.
func (w *watch) isLast() bool { return !w.last.IsZero() && !time.Now().Before(w.last) }

// minProgress is by how many bytes an unfinished message must grow within ProgressTimeout.
const minProgress = 4 << 10

// startTimer makes the next look come after d. With d <= 0 there is none.
func (c *Conn) startTimer(d time.Duration) {
	w := &c.watch
	if d <= 0 || c.state == ended {
		c.stopTimer()
		return
	}
	w.armed, w.due = true, time.Now().Add(d)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, func() { c.Post((*Conn).timerFired) })
	} else {
		w.timer.Reset(d)
	}
}

func (c *Conn) stopTimer() {
	c.watch.armed = false
	if c.watch.timer != nil {
		c.watch.timer.Stop()
	}
}

// timerFired looks, unless the timer was stopped or set again after it had fired: a look that the
// loop had no time for before is not the one that is waited for.
func (c *Conn) timerFired() {
	if w := &c.watch; w.armed && !time.Now().Before(w.due) {
		w.armed = false
		c.look()
	}
}

// period is the time between two looks at an open connection.
func (c *Conn) period() time.Duration {
	idle, progress := c.server.protocol.IdleTimeout, c.server.protocol.ProgressTimeout
	if idle <= 0 || progress > 0 && progress < idle {
		return progress
	}
	return idle
}

// look does what the time that has passed asks for.
func (c *Conn) look() {
	switch {
	case c.state == opening:
		c.refuse(errTimeout, true)
	case c.state == lingering:
		c.linger()
	case c.closeSent && c.watch.isLast() || c.closeSent && !c.taking():
		c.endNow(ErrCloseTimeout)
	case c.closeSent:
		c.awaitAnswer()
	default:
		// Each of these may find out that the connection has ended. The descriptor may be another
		// connection's then.
		for _, step := range [...]func(*Conn){(*Conn).sendPong, (*Conn).lookForSilence, (*Conn).lookForProgress} {
			if c.state == open {
				step(c)
			}
		}
		if c.state == open {
			c.startTimer(c.period())
		}
	}
}

// awaitAnswer waits for the answer to a Close frame.
func (c *Conn) awaitAnswer() {
	if c.state == ended {
		return
	}
	c.watch.setLast()
	c.watch.waiting = c.conn.OutboundBuffered()
	c.startTimer(c.server.protocol.CloseTimeout)
}

// taking reports whether the peer has taken something of what was sent since the last look.
func (c *Conn) taking() bool {
	before := c.watch.waiting
	c.watch.waiting = c.conn.OutboundBuffered()
	return c.watch.waiting < before
}

// drainPeriod is the time between two looks at an ending connection whose peer has not taken
// everything: gnet does not tell when it has. If it takes nothing, the looks become rarer.
const drainPeriod = 10 * time.Millisecond

// linger sends a FIN when the peer has taken everything. It closes the connection when the peer has
// taken nothing, or then not answered the FIN, for CloseTimeout.
func (c *Conn) linger() {
	w, timeout := &c.watch, c.server.protocol.CloseTimeout
	waiting := c.conn.OutboundBuffered()
	if waiting < w.waiting {
		w.stuck = 0
	}
	switch {
	case w.finSent, timeout > 0 && w.stuck >= timeout, w.isLast():
		c.endNow(nil)
	case waiting == 0:
		w.finSent = true
		syscall.Shutdown(c.conn.Fd(), syscall.SHUT_WR)
		c.startTimer(timeout)
	default:
		period := max(drainPeriod, w.stuck/8)
		w.waiting, w.stuck = waiting, w.stuck+period
		c.startTimer(period)
	}
}

// lookForSilence pings a peer that is idle, and ends the connection if it does not answer.
func (c *Conn) lookForSilence() {
	w, limits := &c.watch, &c.server.protocol.Limits
	switch taking := c.taking(); {
	case w.active || c.queued || limits.IdleTimeout <= 0: // what has arrived may wait for its turn
		w.active, w.pinged, w.silent = false, false, 0
		return
	case taking: // the ping is behind what it takes
		w.silent = 0
		return
	}
	w.silent += c.period()
	switch {
	case !w.pinged && w.silent >= limits.IdleTimeout:
		w.pinged, w.silent = true, 0
		c.control(wsproto.Ping, nil)
	case w.pinged && limits.PongTimeout > 0 && w.silent >= limits.PongTimeout:
		c.endNow(ErrPongTimeout)
	}
}

// lookForProgress fails a peer that has begun a frame or message and does not go on.
func (c *Conn) lookForProgress() {
	w, timeout := &c.watch, c.server.protocol.ProgressTimeout
	received := c.receiver.Received()
	unfinished := (c.receiver.InMessage() || c.conn.InboundBuffered() > 0) && !c.queued && !c.turn
	if unfinished && w.begun && w.seen == w.messages && received < w.received+minProgress {
		w.stuck += c.period()
	} else {
		w.stuck = 0
	}
	w.begun, w.seen, w.received = unfinished, w.messages, received
	if timeout > 0 && w.stuck >= timeout && c.state == open {
		c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("unfinished message grew by less than %d bytes in %v", minProgress, timeout)})
	}
}

// meter counts control frames: a bucket of what is allowed in ten seconds.
type meter struct {
	full time.Time // when the bucket is full again; the zero time is in the past
}

const meterTime = 10 * time.Second

// count counts a control frame. It fails if the peer sends more than rate per second, on average
// over ten seconds. A negative rate has no limit.
func (m *meter) count(rate int) error {
	if rate < 0 {
		return nil
	}
	now := time.Now()
	if m.full.Before(now) {
		m.full = now
	}
	m.full = m.full.Add(time.Second / time.Duration(rate))
	if m.full.Sub(now) > meterTime {
		return &wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("more than %d control frames per second", rate)}
	}
	return nil
}
