package engine

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const (
	// leastShare is the least time of an address that is tried alone, as of net.Dialer.
	leastShare = 2 * time.Second
	// backlogDelay is the time until the next attempt at a unix socket whose backlog is full. No
	// event tells when there is room.
	backlogDelay = 20 * time.Millisecond
	// selfRetries is how often an attempt that has connected to itself is repeated.
	selfRetries = 2
	// failTurn is how many attempts may fail at once in a turn, each after 20 us: whoever answers
	// for a name may give it thousands of addresses.
	failTurn = 8
)

// dialing is one call of Dial, until done is called. The loop that will serve the connection has it
// in its list from the first task on, so that the loop cannot end without calling done. Its methods
// are called on that loop, inside a call of user code; only parse, post and lookUp are called by
// other goroutines.
//
//	post -> begin --------------------------> next -> attempts -> won
//	          |                                ^ |        |
//	          +-> lookUp (goroutine) -> resolved +--------+--> fail
//
// next begins the attempt at the next address. It is called again after FallbackDelay, or when an
// attempt has failed. won and fail end it all: whichever is first.
type dialing struct {
	network, address string
	host             string // to look up; "": none
	port             uint16
	config           DialConfig
	header           []byte // of the PROXY protocol, to send first
	done             func(*Conn, error) Protocol

	loop    *loop
	index   int // in loop.dials
	given   context.Context
	ctx     context.Context // given, until Timeout
	cancel  func()
	unwatch func() bool // removes ctx's function

	addresses []string // not tried yet
	attempts  []*Conn  // that have not ended
	timer     *Timer   // calls late; nil: none
	selves    int      // attempts that have connected to themselves
	err       error    // of the first attempt that failed
	over      bool     // done was called, or is being called
}

// attempt is the Protocol of a Conn with the flag connecting, which cannot be read or written, and
// waits until its descriptor becomes writable.
type attempt struct {
	dial    *dialing
	conn    *Conn
	address string
}

// post gives d to its loop. Its load is that of the connection that is to come: it makes loopOr
// spread calls that come together, and keeps the loop from ending.
func (d *dialing) post() error {
	d.loop.load.Add(1)
	n := newTask(dialTask)
	n.Value.dial = d
	err := d.loop.push(n)
	if err != nil {
		d.loop.load.Add(-1)
		d.cancel()
	}
	return err
}

func (d *dialing) begin() {
	l := d.loop
	d.index = len(l.dials)
	l.dials = append(l.dials, d)
	switch {
	case l.stopping:
		d.fail(ErrShutdown)
		return
	case d.ctx.Err() != nil:
		d.fail(context.Cause(d.ctx))
		return
	}
	d.unwatch = context.AfterFunc(d.ctx, func() { l.do(d.expire) }) // an error means that d is over
	if d.host != "" {
		go d.lookUp()
		return
	}
	d.next()
}

// expire is called when ctx has ended.
func (d *dialing) expire() {
	if !d.over {
		d.fail(context.Cause(d.ctx))
	}
}

// next begins the attempt at the next address. What fails at once is passed over.
func (d *dialing) next() {
	d.stopTimer()
	for failed := 0; len(d.addresses) > 0; failed++ {
		if failed == failTurn {
			d.goOn(turnTask)
			return
		}
		address := d.addresses[0]
		fd, err := d.loop.engine.backend.Connect(d.network, address, d.config.LocalAddr)
		if d.network == "unix" && errors.Is(err, syscall.EAGAIN) {
			d.timer = d.loop.afterFunc(backlogDelay, d.late)
			return
		}
		d.addresses = d.addresses[1:]
		if err == nil {
			d.try(fd, address)
			if len(d.addresses) > 0 {
				d.timer = d.loop.afterFunc(d.delay(), d.late)
			}
			return
		}
		d.note(address, err)
	}
	if len(d.attempts) == 0 {
		d.fail(d.err)
	}
}

// try waits for the outcome of a connect(2).
func (d *dialing) try(fd int, address string) {
	l := d.loop
	a := &attempt{dial: d, address: address}
	c := &Conn{loop: l, fd: int32(fd), times: times{active: l.tick}, proto: a,
		flags: connecting | paused | blocked | wantWrite}
	a.conn = c
	c.slot, c.gen = l.conns.Insert(c)
	d.attempts = append(d.attempts, c)
	if err := l.poller.Register(fd, c.token(), driver.Write); err != nil {
		c.end(err)
	}
}

// alone reports whether addresses are tried one after the other. Two attempts cannot have the same
// local port.
func (d *dialing) alone() bool { return d.config.FallbackDelay < 0 || d.config.LocalAddr.Port() != 0 }

// delay returns how long the attempt that has just begun goes on alone.
func (d *dialing) delay() time.Duration {
	if !d.alone() {
		return d.config.FallbackDelay
	}
	deadline, _ := d.ctx.Deadline()
	left := time.Until(deadline)
	return max(left/time.Duration(1+len(d.addresses)), min(left, leastShare))
}

// late is called when the latest attempt has used up its time.
func (d *dialing) late() {
	d.timer = nil
	if d.alone() && len(d.attempts) > 0 {
		for _, c := range d.attempts {
			c.end(context.DeadlineExceeded) // Closed goes on
		}
		return
	}
	d.next()
}

func (d *dialing) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// connected is called when a connecting descriptor has become writable: it has connected or failed.
func (l *loop) connected(c *Conn) {
	if c.state != open { // another attempt has won in the same batch of events
		l.settle(c)
		return
	}
	a := c.proto.(*attempt)
	switch ok, err := l.sockets.Connected(int(c.fd)); {
	case err != nil:
		c.end(err)
	case !ok:
		return
	case a.isSelf():
		if d := a.dial; d.selves < selfRetries {
			d.selves++
			d.addresses = append([]string{a.address}, d.addresses...)
		}
		c.end(syscall.ECONNREFUSED) // nobody listens there
	default:
		a.won()
	}
	l.settleEvent(c)
}

// isSelf reports whether the socket has connected to itself. That can happen if nobody listens on a
// port from which the kernel also chooses local ones (RFC 9293 section 3.5, simultaneous open). It
// is what LocalAddr asks for if it names the port.
func (a *attempt) isSelf() bool {
	if a.dial.network == "unix" || a.dial.config.LocalAddr.Port() != 0 {
		return false
	}
	l, fd := a.conn.loop, int(a.conn.fd)
	local := l.sockets.Local(fd)
	return local.IsValid() && local == l.sockets.Remote(fd)
}

// won makes an open connection of an attempt.
func (a *attempt) won() {
	d, c, l := a.dial, a.conn, a.conn.loop
	l.stats.Dialed++
	d.remove(c)
	d.end(ErrAborted)
	c.flags &^= connecting | paused | blocked
	c.proto, c.abilities, c.times.active = nil, 0, l.tick
	if d.network != "unix" {
		// An error means that the peer is gone, which the first read will find.
		l.sockets.SetOption(int(c.fd), driver.NoDelay, 1)
	}
	accept := func(c *Conn) Protocol { return d.done(c, nil) }
	if d.config.Layer != nil {
		connected := accept
		accept = func(c *Conn) Protocol { return secureDialed(c, d, connected) }
	}
	if d.header != nil {
		behind := accept
		accept = func(c *Conn) Protocol {
			c.Write(d.header) // an error means that the peer is gone
			return behind(c)
		}
	}
	if l.departing != nil {
		l.departing.comes(l)
	}
	l.register(c) // now, or that it became writable would count as Flushed
	l.attach(c, accept)
}

// Feed implements Protocol. There is nothing to read yet.
func (a *attempt) Feed([]byte) (int, error) { return 0, nil }

// Closed implements Protocol: the attempt has failed, or is not needed any more.
func (a *attempt) Closed(reason error) {
	d := a.dial
	d.remove(a.conn)
	if d.over {
		return
	}
	d.note(a.address, reason)
	switch {
	case len(d.addresses) > 0:
		d.goOn(runTask) // not now: the descriptor is still open, and with it the port of LocalAddr
	case len(d.attempts) == 0:
		d.fail(d.err)
	}
}

// goOn posts next. An error means that the loop has ended, which ends d as well.
func (d *dialing) goOn(k taskOp) {
	d.loop.doAs(k, func() {
		if !d.over {
			d.next()
		}
	})
}

func (d *dialing) remove(c *Conn) {
	for i, o := range d.attempts {
		if o == c {
			d.attempts = append(d.attempts[:i], d.attempts[i+1:]...)
			return
		}
	}
}

// note keeps the first error, which is that of the best address.
func (d *dialing) note(address string, err error) {
	if d.err != nil {
		return
	}
	var errno syscall.Errno
	if errors.Is(err, ErrReset) && errors.As(err, &errno) {
		err = errno // not reset: it was never open
	}
	if d.host != "" {
		err = &wrapError{address, err}
	}
	d.err = err
}

// end gives up what is in progress.
func (d *dialing) end(reason error) {
	d.over = true
	all := d.loop.dials
	last := all[len(all)-1]
	all[d.index], last.index = last, d.index
	all[len(all)-1] = nil
	d.loop.dials = all[:len(all)-1]
	d.stopTimer()
	if d.unwatch != nil {
		d.unwatch()
	}
	d.cancel()
	for _, c := range d.attempts {
		c.end(reason)
	}
}

// fail reports the error to the caller.
func (d *dialing) fail(err error) {
	d.end(err)
	d.loop.load.Add(-1)
	d.failed(err)
}

// failed passes on why there is no connection.
func (d *dialing) failed(err error) {
	d.done(nil, &wrapError{"engine: dial " + d.network + " " + d.address, err})
}

// failDials tells those that are dialling that the loop ends, as long as the turn has time. The
// last turn tells all.
func (l *loop) failDials(reason error) {
	begun := l.poller.Now() - l.yielding.away
	for len(l.dials) > 0 && (l.leaving || !l.tookLong(begun, tasksLeast)) {
		l.enter(nil)
		l.dials[len(l.dials)-1].fail(reason)
		l.exit()
		l.spend(closeWork)
	}
}
