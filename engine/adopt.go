package engine

import (
	"fmt"
	"net"
	"syscall"
)

// AdoptConfig is how Adopt takes over a connection. The zero value is what Engine.Adopt uses.
type AdoptConfig struct {
	// Loop is the number of the loop that serves the connection, such as new(c.Loop()) for that of c. Default: the loop
	// with the fewest connections.
	Loop *int
}

// Adopt takes over an open connection: AdoptConfig.Adopt with the zero configuration.
func (e *Engine) Adopt(nc net.Conn, early []byte, accept func(*Conn) Protocol) error {
	return AdoptConfig{}.Adopt(e, nc, early, accept)
}

// Adopt takes over an open connection, and serves it by the Protocol that accept returns for it, as Listen says. nc is a
// *net.TCPConn or a *net.UnixConn of network "unix", such as an http.Hijacker gives. early is what was read from it
// already: the Protocol is fed that first; it is copied.
//
// After Adopt has returned nil, nc is closed, and the connection itself is the engine's; the peer does not notice. After an
// error nc is as it was: ErrClosed if the engine has ended, or what keeps nc from being adopted. Nobody else may use nc
// meanwhile. Adopt may be called from any goroutine, before Run too.
func (ac AdoptConfig) Adopt(e *Engine, nc net.Conn, early []byte, accept func(*Conn) Protocol) error {
	network := ""
	switch c := nc.(type) {
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
	l.load.Add(1)
	n := newTask(adoptTask)
	n.Value.fd, n.Value.listener = fd, newListener(network, ListenConfig{}, accept)
	n.Value.buf = append(n.Value.buf[:0], early...)
	if err := l.push(n); err != nil {
		l.load.Add(-1)
		e.backend.CloseFd(fd)
		return err
	}
	nc.Close() // of its own descriptor; the connection lives on in ours
	return nil
}
