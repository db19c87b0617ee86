package wsconn

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"weak"

	"github.com/myriadnet/myriad/wsproto"
)

// ErrPongTimeout is the error of a connection whose peer was silent for Config.IdleTimeout, and did
// not answer a ping within Config.PongTimeout.
var ErrPongTimeout = errors.New("wsconn: no answer to a ping")

// leastProgress is by how many bytes an unfinished message must grow within Config.ProgressTimeout.
const leastProgress = 4 << 10

// keepalive measures how long the peer lets us wait. Its clock, waited, advances only while a
// goroutine waits for bytes: at other times the peer cannot be blamed for silence. A timer looks at
// it, so that no goroutine is needed.
type keepalive struct {
	limits   *Limits
	interval time.Duration // of the timer when nothing is due earlier; 0: no timer

	mu      sync.Mutex
	timer   *time.Timer
	armed   bool          // the timer is
	waiting bool          // since
	since   time.Duration // by Conn.now
	waited  time.Duration // up to the end of the latest wait
	heard   time.Duration // when bytes came, by waited
	pinged  bool          // since then
	pingAt  time.Duration // when the ping was sent or what it waits behind moved on, by waited
	ahead   bool          // bytes were in front of the ping when it was sent or looked for last
	taken   int64         // by the peer, by then: see Conn.taken
	late    bool          // the timer was late: there may be bytes that nobody has received yet

	unfinished bool          // a message, frame or header has begun and not ended
	size       uint64        // of the message when it was looked at
	sizeAt     time.Duration // by waited

	err error // the peer's time is over: for whoever waits
}

func (k *keepalive) setLimits(l *Limits) {
	k.limits = l
	for _, d := range []time.Duration{l.IdleTimeout, l.PongTimeout, l.ProgressTimeout} {
		if d > 0 && (k.interval == 0 || d < k.interval) {
			k.interval = d
		}
	}
}

// beginWait starts the clock. The error is that the time is over.
func (c *Conn) beginWait() error {
	k := &c.keepalive
	if k.interval == 0 {
		return nil
	}
	now := c.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting, k.since = true, now
	size := c.receiver.Received()
	if !k.unfinished || c.messageEnded || size >= k.size+leastProgress {
		k.size, k.sizeAt = size, k.waited
	}
	k.unfinished = c.receiver.InMessage() || len(c.in) > 0
	c.messageEnded = false
	if !k.armed {
		k.arm(c, k.waited)
	}
	return k.err
}

// event is what the peer's silence leads to.
type event int

const (
	none event = iota
	idleTimeout
	pongTimeout
	progressTimeout
)

// next returns the event that comes next, and when, by waited. A message that begins may be due
// after interval.
func (k *keepalive) next(waited time.Duration) (e event, at time.Duration) {
	at = waited + k.interval
	within := func(since, limit time.Duration, what event) {
		if limit > 0 && since+limit <= at {
			e, at = what, since+limit
		}
	}
	if k.unfinished {
		within(k.sizeAt, k.limits.ProgressTimeout, progressTimeout)
	}
	if k.pinged {
		within(k.pingAt, k.limits.PongTimeout, pongTimeout)
	} else {
		within(k.heard, k.limits.IdleTimeout, idleTimeout)
	}
	return e, at
}

// arm sets the timer.
func (k *keepalive) arm(c *Conn, waited time.Duration) {
	_, at := k.next(waited)
	k.armIn(c, at-waited)
}

func (k *keepalive) armIn(c *Conn, d time.Duration) {
	k.armed = true
	if k.timer != nil {
		k.timer.Reset(d)
		return
	}
	// A stopped timer may keep what it refers to alive for a while. A Conn that is waited for is
	// alive anyway.
	conn := weak.Make(c)
	k.timer = time.AfterFunc(d, func() {
		if c := conn.Value(); c != nil {
			c.checkPeer()
		}
	})
}

// endWait stops the clock when n bytes have come. The error is that this took too long.
func (c *Conn) endWait(n int) error {
	k := &c.keepalive
	if k.interval == 0 {
		return nil
	}
	now := c.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waited += now - k.since
	k.waiting = false
	if n > 0 {
		k.heard, k.pinged, k.late = k.waited, false, false
		c.pingDue.Store(false)
	}
	return k.err
}

// checkPeer is called by the timer.
func (c *Conn) checkPeer() {
	switch c.keepalive.check(c) {
	case idleTimeout:
		c.pingDue.Store(true)
		if c.writeLock.tryLock() { // otherwise the goroutine that has it will send the ping
			c.unlockWrite(context.Background())
		}
	case pongTimeout, progressTimeout:
		c.readInterrupt.now()
	}
}

// check returns the event that is due, and sets the timer for the next one.
func (k *keepalive) check(c *Conn) event {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.armed = false
	if !k.waiting || c.ended() != nil {
		return none
	}
	waited := k.waited + c.now() - k.since
	what, at := k.next(waited)
	if at > waited {
		what = none
	}
	if what == pongTimeout && c.pingDue.Load() && !c.closeSent.Load() && !c.writeLock.locked() {
		// A Write that kept the ping waiting was given up, and nobody has sent the ping.
		what = idleTimeout
	}
	switch {
	case what == pongTimeout && k.ahead && k.lookAhead(c):
		// The ping may be behind bytes in the kernel, which the peer is taking.
		what, k.pingAt = none, waited
	case what > idleTimeout && waited-at > k.interval/lookAgain && !k.late:
		k.late = true
		k.armIn(c, k.interval/lookAgain)
		return none
	}
	switch what {
	case idleTimeout:
		k.pinged, k.pingAt = true, waited
		k.lookAhead(c)
	case pongTimeout:
		k.err = ErrPongTimeout
		return what
	case progressTimeout:
		k.err = &wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("unfinished message grew by less than %d bytes in %v", leastProgress,
				k.limits.ProgressTimeout)}
		return what
	}
	k.arm(c, waited)
	return what
}

// lookAhead looks at what is in front of the ping. It reports whether the peer has acknowledged
// some since it looked last.
func (k *keepalive) lookAhead(c *Conn) (progress bool) {
	taken, left, ok := c.taken()
	progress = taken > k.taken
	k.ahead, k.taken = ok && left > 0, taken
	return progress
}

// stop stops the timer at the end of the connection.
func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer != nil {
		k.timer.Stop()
	}
}

// pingMoved notes that the ping was sent, or that it waits behind something of which the peer has
// taken more. PongTimeout counts from then.
func (c *Conn) pingMoved() {
	k := &c.keepalive
	now := c.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pingAt = k.waited; k.waiting {
		k.pingAt += now - k.since
	}
}
