package sim

import (
	"net/netip"
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
	woken  atomic.Bool // the only field that other goroutines touch
	shut   bool
	closed [8]driver.Token // the last ones closed, for stale events
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

func (d *loopDriver) Listen(fd int, t driver.Token) error {
	s := d.socket("Listen", fd)
	if s.end != nil || s.loop != nil || t.Slot()&driver.ListenerBit == 0 {
		d.n.misuse("Listen(%d, %s): not a listener, registered already, or without ListenerBit", fd, name(t))
	}
	d.register(s, t)
	s.accept = true
	d.n.note("driver %d: Listen fd=%d %s", d.id, fd, name(t))
	return nil
}

func (d *loopDriver) SetListen(fd int, t driver.Token, accept bool) error {
	s := d.socket("SetListen", fd)
	d.expect("SetListen", s, t)
	s.accept = accept
	d.n.note("driver %d: SetListen fd=%d %v", d.id, fd, accept)
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

func (d *loopDriver) Write(fd int, b []byte) (int, error) {
	s := d.conn("Write", fd)
	if len(b) == 0 {
		d.n.misuse("Write(%d): nothing to write", fd)
	}
	k, err := d.n.send(s.end, b)
	d.n.note("driver %d: Write fd=%d %d: %d %v", d.id, fd, len(b), k, err)
	return k, err
}

func (d *loopDriver) Writev(fd int, bufs [][]byte) (int, error) {
	s := d.conn("Writev", fd)
	var all []byte
	used := 0
	for _, b := range bufs {
		if used == driver.MaxIovecs {
			break
		}
		if len(b) > 0 {
			all = append(all, b[:min(len(b), s.end.out.sendCap)]...) // no more than that can fit
			used++
		}
	}
	if used == 0 {
		return 0, nil
	}
	k, err := d.n.send(s.end, all)
	d.n.note("driver %d: Writev fd=%d %d: %d %v", d.id, fd, len(all), k, err)
	return k, err
}

func (d *loopDriver) CloseWrite(fd int) error {
	s := d.conn("CloseWrite", fd)
	err := d.n.shutdown(s.end)
	d.n.note("driver %d: CloseWrite fd=%d: %v", d.id, fd, err)
	return err
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

func (d *loopDriver) IncomingCPU(fd int) int { return int(d.conn("IncomingCPU", fd).remote.Port()) % 2 }

func (d *loopDriver) Unacknowledged(fd int) int {
	return len(d.conn("Unacknowledged", fd).end.out.sent)
}

func (d *loopDriver) Release(fd int, t driver.Token, i driver.Interest) {
	s := d.conn("Release", fd)
	if s.loop != nil {
		d.expect("Release", s, t)
	}
	if s.interest != i {
		d.n.misuse("Release(%d, %s): interest is %d, not %d", fd, name(t), s.interest, i)
	}
	d.n.note("driver %d: Release fd=%d %s", d.id, fd, name(t))
	s.loop, s.interest = nil, 0
}

func (d *loopDriver) Local(fd int) netip.AddrPort { return d.socket("Local", fd).local }

func (d *loopDriver) Remote(fd int) netip.AddrPort {
	s := d.socket("Remote", fd)
	if s.end == nil || s.end.broken {
		return netip.AddrPort{}
	}
	return s.remote
}

func (d *loopDriver) SetOption(fd int, o driver.Option, value int) error {
	s := d.socket("SetOption", fd)
	d.n.note("driver %d: SetOption fd=%d %d=%d", d.id, fd, o, value)
	if s.end == nil {
		return nil
	}
	switch o {
	case driver.ReceiveBuffer:
		s.end.in.recvCap = max(1, value, len(s.end.in.got))
		d.n.flow(s.end.in)
	case driver.SendBuffer:
		s.end.out.sendCap = max(1, value, len(s.end.out.sent))
	case driver.Linger:
		s.end.abrupt = value == 0
	}
	return nil
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

// acceptFrom is accept4(2) with what a driver does about EINTR and ECONNABORTED.
func (n *Network) acceptFrom(l *socket) (int, error) {
	f, c := &n.cfg.Faults, &n.counts
	for {
		c.Accepts++
		n.interrupted(l.place)
		if len(l.queue) == 0 || n.hit(l.place, f.AcceptAgain, &c.AcceptAgain) {
			return -1, syscall.EAGAIN
		}
		if n.now >= n.noFiles && n.hit(l.place, f.NoFiles, &c.NoFiles) {
			n.noFiles = n.now + n.upTo(f.MaxNoFiles, 200*time.Millisecond)
		}
		if n.now < n.noFiles {
			if n.coin(l.place) {
				return -1, syscall.ENFILE
			}
			return -1, syscall.EMFILE
		}
		k := l.queue[0]
		if k.server.broken && n.coin(&k.place) { // BSD; Linux hands it out, and the first read fails
			l.queue = l.queue[1:]
			continue
		}
		if n.hit(&k.place, f.Abort, &c.Abort) {
			k.from.faulted = true
			l.queue = l.queue[1:]
			n.close(&k.server, true)
			continue
		}
		s := &socket{local: k.from.remote, remote: k.from.local, place: &k.place, end: &k.server}
		if !n.assign(s) {
			c.Shortages++
			return -1, syscall.EMFILE
		}
		l.queue = l.queue[1:]
		return s.fd, nil
	}
}

// recv is read with the faults of a system call.
func (n *Network) recv(e *end, b []byte) (int, error) {
	f, c := &n.cfg.Faults, &n.counts
	c.Reads++
	n.interrupted(&e.in.place)
	if n.hit(&e.in.place, f.ReadAgain, &c.ReadAgain) {
		return 0, syscall.EAGAIN
	}
	if there := min(len(b), len(e.in.got)); there > 1 && n.hit(&e.in.place, f.ShortRead, &c.ShortRead) {
		b = b[:1+n.rng.IntN(there-1)]
	}
	return n.read(e, b)
}

// send is write with the faults of a system call.
func (n *Network) send(e *end, b []byte) (int, error) {
	f, c := &n.cfg.Faults, &n.counts
	c.Writes++
	n.interrupted(&e.out.place)
	if len(b) > 0 && n.hit(&e.out.place, f.WriteAgain, &c.WriteAgain) {
		return 0, syscall.EAGAIN
	}
	if fits := min(len(b), e.out.sendCap-len(e.out.sent)); fits > 1 && n.hit(&e.out.place, f.ShortWrite, &c.ShortWrite) {
		b = b[:1+n.rng.IntN(fits-1)]
	}
	return n.write(e, b)
}
