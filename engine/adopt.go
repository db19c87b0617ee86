package engine

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// AdoptConfig is how Adopt takes over a connection. The zero value is ready to use.
type AdoptConfig struct {
	// Loop is the number of the loop that serves the connection. Use new(c.Loop()) for the loop of
	// c. Default: the loop with the fewest connections.
	Loop *int
	// Place is what Conn.KeepPlace has returned for the connection. It goes with the connection if
	// Adopt returns nil. Default: no listener counts the connection.
	Place *Place
}

// Adopt is AdoptConfig.Adopt with the zero configuration.
func (e *Engine) Adopt(nc net.Conn, early []byte, accept func(*Conn) Protocol) error {
	return AdoptConfig{}.Adopt(e, nc, early, accept)
}

// Adopt takes over an open connection. The engine serves it by the Protocol that accept returns for
// it: see Engine.Listen. nc is a *net.TCPConn, or a *net.UnixConn of network "unix", such as an
// http.Hijacker of a server of net/http returns, or what Conn.Release has made of one: one with a
// layer keeps the layer. early is what was already read from nc: the Protocol is fed that first.
// Adopt copies it.
//
// When Adopt returns nil, nc is closed, and the engine owns the connection; the peer does not
// notice. When it returns an error, nc is unchanged. The error is ErrClosed if the engine has ended
// or aborts its connections, or says why nc cannot be adopted. Nothing else may use nc during the
// call; one with a layer is refused while a Read or Write is in progress. Adopt may be called from
// any goroutine, before Run as well.
func (ac AdoptConfig) Adopt(e *Engine, nc net.Conn, early []byte, accept func(*Conn) Protocol) error {
	if err := checkFunc("adopt", "accept", accept == nil); err != nil {
		return err
	}
	r, ok := nc.(layer.Released)
	if !ok {
		return ac.adopt(e, nc, early, layer.Kept{}, accept)
	}
	if p, ok := nc.(interface{ KeptPlace() *Place }); ok && ac.Place == nil {
		ac.Place = p.KeptPlace()
	}
	err := r.Return(func(k layer.Kept) error { return ac.adopt(e, r.NetConn(), early, k, accept) })
	if err != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("engine: adopt: %w", err)
	}
	return err
}

// adopt is Adopt for a socket, with what is kept of its layer.
func (ac AdoptConfig) adopt(e *Engine, nc net.Conn, early []byte, k layer.Kept, accept func(*Conn) Protocol) error {
	network := ""
	var header []byte
	switch c := nc.(type) {
	case *proxiedTCP:
		network, header = "tcp", c.header
	case *proxiedUnix:
		network, header = "unix", c.header
	case *net.TCPConn:
		network = "tcp"
	case *net.UnixConn:
		network = c.LocalAddr().Network()
	}
	if network != "tcp" && network != "unix" {
		return fmt.Errorf("engine: adopt: want a *net.TCPConn or a *net.UnixConn that is a stream, not %T", nc)
	}
	l, err := e.loopOr(ac.Loop)
	if err != nil {
		return err
	}
	fd, err := duplicateOf(nc.(syscall.Conn))
	if err != nil {
		return fmt.Errorf("engine: adopt: %w", err)
	}
	ln := newListener(network, ListenConfig{}, accept)
	ln.header = header
	if ac.Place.take() { // now: Leave may be called before the loop runs
		ln.place = ac.Place
	}
	if err := l.pushAdopt(fd, ln, early, k); err != nil {
		if ln.place != nil {
			ln.place.giveBack()
		}
		return err
	}
	nc.Close() // closes its own descriptor; ours keeps the connection open
	return nil
}

// pushAdopt gives a connection to the loop, or closes its descriptor.
func (l *loop) pushAdopt(fd int, ln *Listener, early []byte, k layer.Kept) error {
	if l.engine.isCutting() {
		l.engine.backend.CloseFd(fd)
		return ErrClosed
	}
	l.load.Add(1)
	n := newTask(adoptTask)
	n.Value.fd, n.Value.listener = fd, ln
	n.Value.buf = append(n.Value.buf, early...)
	if k.Stream != nil {
		n.Value.buf = append(n.Value.buf, k.In...)
		n.Value.layer = &adoptedLayer{k.Stream, len(early) + k.Plain, bytes.Clone(k.Out)}
	}
	l.charge(n, closureCost+len(ln.unsent)+len(k.Out), false)
	if err := l.pushCharged(n); err != nil {
		l.load.Add(-1)
		l.engine.backend.CloseFd(fd)
		return err
	}
	return nil
}
