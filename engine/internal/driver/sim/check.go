package sim

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Descriptors returns how many are open, listeners included: 0 after a clean shutdown.
func (n *Network) Descriptors() (open int) {
	for _, s := range n.fds {
		if s != nil {
			open++
		}
	}
	return open
}

// Check verifies the network's invariants and returns the first misuse by the program under test.
// Call it after each step.
func (n *Network) Check() error {
	if n.misused != nil {
		return n.misused
	}
	for fd, s := range n.fds {
		if s == nil {
			continue
		}
		switch {
		case s.fd != fd:
			return fmt.Errorf("sim: descriptor %d is filed as %d", s.fd, fd)
		case s.end != nil && s.end.closed:
			return fmt.Errorf("sim: descriptor %d is open, its connection is closed", fd)
		case s.loop != nil && s.loop.shut:
			return fmt.Errorf("sim: descriptor %d is registered with driver %d, which is shut", fd, s.loop.id)
		case s.loop == nil && s.end != nil && n.Idle():
			return fmt.Errorf("sim: descriptor %d was accepted, and no loop has it", fd)
		}
		if s.end != nil {
			if err := s.end.check(); err != nil {
				return fmt.Errorf("sim: descriptor %d: %w", fd, err)
			}
		}
	}
	for _, k := range n.links {
		if err := k.client.check(); err != nil {
			return fmt.Errorf("sim: connection from %v: %w", k.from.local, err)
		}
	}
	return nil
}

// check checks both directions: no buffer is above its size, and no byte is lost without a reset.
func (e *end) check() error {
	for _, p := range [...]*pipe{e.in, e.out} {
		switch {
		case len(p.sent) > p.sendCap || len(p.got) > p.recvCap:
			return fmt.Errorf("%d of %d bytes to send, %d of %d received",
				len(p.sent), p.sendCap, len(p.got), p.recvCap)
		case p.wrote != p.read+len(p.sent)+len(p.got)+p.lost:
			return fmt.Errorf("%d bytes written, %d read, %d to send, %d received, %d dropped",
				p.wrote, p.read, len(p.sent), len(p.got), p.lost)
		case p.lost > 0 && !e.broken:
			return fmt.Errorf("%d bytes dropped without a reset", p.lost)
		}
	}
	return nil
}

// misuse records a bug of the program under test and panics.
func (n *Network) misuse(format string, args ...any) {
	err := fmt.Errorf("sim: "+format, args...)
	if n.misused == nil {
		n.misused = err
	}
	n.note("misuse: %v", err)
	panic(err)
}

// check finds calls after Shut.
func (d *loopDriver) check(call string) {
	if d.shut {
		d.n.misuse("%s: driver %d is shut", call, d.id)
	}
}

// socket finds a descriptor that d may use: its own, or one that is not registered.
func (d *loopDriver) socket(call string, fd int) *socket {
	d.check(call)
	s := d.n.socket(call, fd)
	if s.loop != nil && s.loop != d {
		d.n.misuse("%s(%d): driver %d does not have it, driver %d does", call, fd, d.id, s.loop.id)
	}
	return s
}

// conn is socket for connections only.
func (d *loopDriver) conn(call string, fd int) *socket {
	s := d.socket(call, fd)
	if s.end == nil {
		d.n.misuse("%s(%d): a listener", call, fd)
	}
	return s
}

// expect checks that s is registered as t.
func (d *loopDriver) expect(call string, s *socket, t driver.Token) {
	if s.loop != d || s.token != t {
		d.n.misuse("%s(%d): %s is not what it is registered as (%s)", call, s.fd, name(t), name(s.token))
	}
}

func (d *loopDriver) register(s *socket, t driver.Token) {
	if t.Generation() == 0 {
		d.n.misuse("descriptor %d: a token of generation 0", s.fd)
	}
	if d.registered(t) != nil {
		d.n.misuse("descriptor %d: %s is registered already", s.fd, name(t))
	}
	s.loop, s.token = d, t
}

// registered finds the socket with token t.
func (d *loopDriver) registered(t driver.Token) *socket {
	for _, s := range d.n.fds {
		if s != nil && s.loop == d && s.token == t {
			return s
		}
	}
	return nil
}

// Trace returns the last lines of what happened, oldest first.
func (n *Network) Trace() []string {
	return append(append([]string{}, n.ring[n.oldest:]...), n.ring[:n.oldest]...)
}

func (n *Network) note(format string, args ...any) {
	if n.cfg.Trace <= 0 {
		return
	}
	line := fmt.Sprintf("%-12v ", n.now) + fmt.Sprintf(format, args...)
	if len(n.ring) < n.cfg.Trace {
		n.ring = append(n.ring, line)
		return
	}
	n.ring[n.oldest] = line
	n.oldest = (n.oldest + 1) % len(n.ring)
}

// name writes a token as slot/generation. A listener's has an L in front, in the place of its bit.
func name(t driver.Token) string {
	if t.Slot()&driver.ListenerBit != 0 {
		return fmt.Sprintf("L%d/%d", t.Slot()&^driver.ListenerBit, t.Generation())
	}
	return fmt.Sprintf("%d/%d", t.Slot(), t.Generation())
}
