package sim

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

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
			all = append(all, b[:min(len(b), s.end.out.sendCap)]...) // more cannot fit
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

func (d *loopDriver) IncomingCPU(fd int) int { return int(d.conn("IncomingCPU", fd).remote.Port()) % 2 }

// Unacknowledged counts what has not reached the other kernel's receive buffer, and a FIN as one.
func (d *loopDriver) Unacknowledged(fd int) (left int, taken uint64) {
	p := d.conn("Unacknowledged", fd).end.out
	left = len(p.sent)
	if p.fin && !p.finGot && !p.to.broken {
		left++
	}
	return left, uint64(p.wrote - len(p.sent))
}

func (d *loopDriver) Waiting(fd int) bool {
	s := d.socket("Waiting", fd)
	if s.packets != nil {
		return len(s.packets.queue) > 0
	}
	return s.end.readable()
}

func (d *loopDriver) HungUp(fd int) (bool, error) {
	e := d.conn("HungUp", fd).end
	if err := e.takeErr(); err != 0 {
		return true, err
	}
	return e.broken, nil
}

func (d *loopDriver) Local(fd int) netip.AddrPort { return d.socket("Local", fd).local }

func (d *loopDriver) Remote(fd int) netip.AddrPort {
	s := d.socket("Remote", fd)
	if s.self {
		return s.local
	}
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
	case driver.SendBuffer, driver.WriteAhead:
		s.end.out.sendCap = max(1, value, len(s.end.out.sent))
	case driver.Linger:
		s.end.abrupt = value == 0
	}
	return nil
}

// acceptFrom is accept4(2), and what a poller does about EINTR and ECONNABORTED.
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
		if k.server.broken && n.coin(&k.place) { // as on BSD; on Linux the first read fails
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
	there := min(len(b), len(e.in.got))
	if there > 1 && n.hit(&e.in.place, f.ShortRead, &c.ShortRead) {
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
	fits := min(len(b), e.out.sendCap-len(e.out.sent))
	if fits > 1 && n.hit(&e.out.place, f.ShortWrite, &c.ShortWrite) {
		b = b[:1+n.rng.IntN(fits-1)]
	}
	return n.write(e, b)
}
