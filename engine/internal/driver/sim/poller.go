package sim

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// loopDriver is the driver of one loop.
type loopDriver struct {
	place
	n      *Network
	id     int
	woken  atomic.Bool // the only field that other goroutines use
	shut   bool
	closed [8]driver.Token // the latest, for stale events
	oldest int             // in closed

	polling bool
	polls   int
	until   time.Duration // when the last Poll wanted to return
	batch   []event
	next    int // in batch: the first that is not delivered

	received []driver.Datagram // by the last Receive
}

func (d *loopDriver) Now() time.Duration { return d.n.now }

func (d *loopDriver) Wake() { d.woken.Store(true) }

// Yield has nobody to yield to.
func (d *loopDriver) Yield() (idle bool) {
	d.check("Yield")
	d.n.counts.Yields++
	return false
}

func (d *loopDriver) RegisterListener(fd int, t driver.Token) error {
	s := d.socket("RegisterListener", fd)
	if s.end != nil || s.loop != nil || t.Slot()&driver.ListenerBit == 0 {
		d.n.misuse("RegisterListener(%d, %s): not a listener, registered already, or without ListenerBit", fd, name(t))
	}
	d.register(s, t)
	s.accept = true
	d.n.note("driver %d: RegisterListener fd=%d %s", d.id, fd, name(t))
	return nil
}

func (d *loopDriver) SetAccepting(fd int, t driver.Token, accept bool) error {
	s := d.socket("SetAccepting", fd)
	d.expect("SetAccepting", s, t)
	s.accept = accept
	d.n.note("driver %d: SetAccepting fd=%d %v", d.id, fd, accept)
	return nil
}

func (d *loopDriver) Register(fd int, t driver.Token, i driver.Interest) error {
	s := d.socket("Register", fd)
	if s.end == nil && s.packets == nil || s.packets != nil != (t.Slot()&driver.DatagramBit != 0) {
		d.n.misuse("Register(%d, %s): a listener, or DatagramBit does not tell the truth", fd, name(t))
	}
	if s.loop != nil || t.Slot()&driver.ListenerBit != 0 {
		d.n.misuse("Register(%d, %s): registered already, or with ListenerBit", fd, name(t))
	}
	if d.n.hit(s.place, d.n.cfg.Faults.NoMemory, &d.n.counts.NoMemory) {
		return syscall.ENOMEM
	}
	d.register(s, t)
	s.interest = i
	d.n.note("driver %d: Register fd=%d %s interest=%d", d.id, fd, name(t), i)
	return nil
}

func (d *loopDriver) SetInterest(fd int, t driver.Token, from, to driver.Interest) error {
	s := d.socket("SetInterest", fd)
	d.expect("SetInterest", s, t)
	if s.interest != from {
		d.n.misuse("SetInterest(%d, %s): interest is %d, not %d", fd, name(t), s.interest, from)
	}
	if d.n.hit(s.place, d.n.cfg.Faults.NoMemory, &d.n.counts.NoMemory) {
		return syscall.ENOMEM
	}
	s.interest = to
	d.n.note("driver %d: SetInterest fd=%d %d to %d", d.id, fd, from, to)
	return nil
}

func (d *loopDriver) Close(fd int, reset bool) {
	s := d.socket("Close", fd)
	if s.loop != nil {
		d.closed[d.oldest] = s.token
		d.oldest = (d.oldest + 1) % len(d.closed)
	}
	d.n.note("driver %d: Close fd=%d %s reset=%v", d.id, fd, name(s.token), reset)
	s.loop, s.interest, s.accept = nil, 0, false
	d.n.release(s, reset)
}

// CloseListener implements driver.Poller.
func (d *loopDriver) CloseListener(fd int, t driver.Token) {
	d.expect("CloseListener", d.socket("CloseListener", fd), t)
	d.Close(fd, false)
}

func (d *loopDriver) Unregister(fd int, i driver.Interest) {
	s := d.conn("Unregister", fd)
	if s.interest != i {
		d.n.misuse("Unregister(%d): interest is %d, not %d", fd, s.interest, i)
	}
	d.n.note("driver %d: Unregister fd=%d %s", d.id, fd, name(s.token))
	s.loop, s.interest = nil, 0
}

func (d *loopDriver) Shut() {
	d.check("Shut")
	for _, s := range d.n.fds {
		if s != nil && s.loop == d {
			d.n.misuse("Shut: driver %d still has descriptor %d, %s", d.id, s.fd, name(s.token))
		}
	}
	d.shut = true
	d.n.note("driver %d: Shut", d.id)
}
