package engine

import (
	"net"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// Release takes the connection out of the engine and passes its socket to take, as a net.Conn for a
// goroutine. The peer does not notice.
//
// It takes effect when the current call of the Protocol has returned. The Protocol's Closed gets
// ErrReleased. Then take is called once, on the loop, which it must not block. unread is what was
// received and not consumed, also by a Feed in progress. If that Feed panics, it is everything that
// Feed was offered. unsent is what Write accepted and the kernel has not taken; it must be written
// first. take owns both. If err is not nil, no net.Conn could be made (EMFILE), and the connection
// is closed. If CloseWrite was called, its FIN may not be sent yet: call that of nc behind unsent.
//
// A connection with a layer (ListenConfig.Layer) keeps it: nc reads and writes plaintext, and
// unread and unsent are plaintext. One with a PROXY header (ListenConfig.Proxy) keeps that: nc has
// the addresses of the header, and Adopt takes it back with them.
//
// Release returns ErrClosed if the connection is closing or closed, or on its way to another
// process (see Handover), from which it may come back; then take is not called.
func (c *Conn) Release(take func(nc net.Conn, unread, unsent []byte, err error)) error {
	if c.state != open {
		return ErrClosed
	}
	if err := checkFunc("release", "take", take == nil); err != nil {
		return err
	}
	c.leave(leftover{take: take})
	return nil
}

// leave ends c for its loop.
func (c *Conn) leave(r leftover) {
	c.end(ErrReleased)
	c.flags |= released
	if c.loop.releases == nil {
		c.loop.releases = make(map[*Conn]leftover)
	}
	c.loop.releases[c] = r
}

// leftover is what goes with a released connection.
type leftover struct {
	take           func(nc net.Conn, unread, unsent []byte, err error)
	to             *loop // instead of take, with accept, place and half: see MoveTo
	accept         func(*Conn) Protocol
	place          *Place
	half           flags // writeClosed and finSent, of CloseWrite
	unread, unsent []byte

	stream  layer.Stream // nil: no layer
	in, out []byte       // what the layer has not opened, and has sealed
}

// gather collects c's bytes before its buffers go back to the pool.
func (l *loop) gather(c *Conn) {
	r := l.releases[c]
	if c.flags&blocked == 0 {
		c.flush() // the new owner meets the error itself
	}
	if c.out.Len() > 0 {
		r.unsent = c.out.AppendTo(make([]byte, 0, c.out.Len()))
	}
	if c.in != nil {
		r.unread = append(r.unread, c.in.Bytes()...)
	}
	if c.flags&layered != 0 {
		y := l.layers.all.At(c.slot)
		r.stream = y.stream
		l.memory.held -= y.stream.Held()
		r.unread, r.in = split(r.unread, int(y.plain))
		r.out, r.unsent = split(r.unsent, int(y.sealed))
		*y = layerState{}
		c.flags &^= layered
	}
	l.releases[c] = r
}

// split cuts b behind the first n bytes, in two slices that do not grow into each other.
func split(b []byte, n int) (first, rest []byte) { return b[:n:n], b[n:] }

// handOver passes on the descriptor of a released connection, instead of closing it.
func (l *loop) handOver(c *Conn, fd int) {
	r := l.releases[c]
	delete(l.releases, c)
	l.poller.Unregister(fd, interest(c.flags&(wantRead|wantWrite)))
	if r.to != nil {
		l.moveTo(c, fd, &r)
		return
	}
	nc, err := l.engine.backend.NetConn(fd)
	if c.flags&proxied != 0 && err == nil {
		nc = withHeader(nc, l.headers.of(c))
	}
	l.forgetProxied(c)
	switch {
	case err != nil:
		r.unread, r.unsent = nil, nil
		if r.stream != nil {
			r.stream.Close()
		}
	case r.stream != nil:
		nc = r.stream.NetConn(nc, r.in, r.out)
	}
	l.enter(nil)
	r.take(nc, r.unread, r.unsent, err)
	l.exit()
}
