package engine

import (
	"bytes"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// MoveTo takes the connection to another loop of its engine (see Conn.Loop), where it is another
// Conn, with the Protocol that accept returns for it: see Engine.Listen. The peer does not notice.
//
// It takes effect when the current call of the Protocol has returned. The Protocol's Closed gets
// ErrReleased, and old Handles are closed. Then accept is called, on the new loop. What was
// received and not consumed is fed to the new Protocol, and what Write has accepted goes out first.
// After CloseWrite our half stays closed.
// The layer, the PROXY header and the place in the counts of the listener (see KeepPlace) go with
// the connection; timers, timeouts, watermarks and socket options that were set by methods do not,
// except those that the kernel keeps. Stats count the move as an end, of CauseRelease, and a
// beginning.
//
// MoveTo returns ErrClosed as Release does, or an error if there is no such loop; then accept is
// not called. If the new loop has ended in the meantime, or Close has begun, the connection is cut
// by that (see Run), and accept is called with nil, on the old loop.
func (c *Conn) MoveTo(loop int, accept func(*Conn) Protocol) error {
	if c.state != open {
		return ErrClosed
	}
	if err := checkFunc("move", "accept", accept == nil); err != nil {
		return err
	}
	to, err := c.loop.engine.loop(loop)
	if err != nil {
		return err
	}
	c.leave(leftover{to: to, accept: accept, place: c.KeepPlace(), half: c.flags & (writeClosed | finSent)})
	return nil
}

// moveTo gives the descriptor of a released connection to another loop.
func (l *loop) moveTo(c *Conn, fd int, r *leftover) {
	network := "tcp"
	if !l.sockets.Local(fd).IsValid() {
		network = "unix"
	}
	ln := newListener(network, ListenConfig{}, r.accept)
	ln.place, ln.unsent, ln.half = r.place, r.unsent, r.half
	if c.flags&proxied != 0 {
		ln.header = bytes.Clone(l.headers.of(c))
	}
	l.forgetProxied(c)
	kept := layer.Kept{Stream: r.stream, In: r.in, Out: r.out}
	if r.stream != nil {
		r.stream.Detach()
	}
	if err := r.to.pushAdopt(fd, ln, r.unread, kept); err != nil { // it has closed fd
		l.engine.cut.Add(1)
		r.place.Leave()
		if r.stream != nil {
			r.stream.Close()
		}
		l.enter(nil)
		r.accept(nil)
		l.exit()
	}
}
