package gnet

import (
	"context"
	"strings"
	"syscall"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/socket"

	"github.com/myriadnet/myriad/engine"
)

// Engine is what OnBoot gets. Its methods may be called from any goroutine. The zero Engine is
// empty.
type Engine struct {
	r *runner
}

// Validate returns ErrEmptyEngine if e has no listener, and ErrEngineInShutdown if it has ended.
func (e Engine) Validate() error {
	switch {
	case e.r == nil || len(e.r.listeners) == 0:
		return errors.ErrEmptyEngine
	case e.r.isStopped():
		return errors.ErrEngineInShutdown
	}
	return nil
}

// CountConnections returns the number of open connections, or -1 if Validate returns an error.
func (e Engine) CountConnections() int {
	if e.Validate() != nil {
		return -1
	}
	return int(e.r.connections.Load())
}

// Register serves the net.Conn in ctx, or a connection to the net.Addr in ctx: see
// NewNetConnContext and NewNetAddrContext. The loop with the fewest connections gets it.
func (e Engine) Register(ctx context.Context) (<-chan RegisteredResult, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	if nc, ok := FromNetConnContext(ctx); ok {
		return e.r.register(ctx, nil, nc, nil)
	}
	if addr, ok := FromNetAddrContext(ctx); ok {
		return e.r.register(ctx, nil, nil, addr)
	}
	return nil, errors.ErrInvalidNetworkAddress
}

// Dup returns a copy of the listener's descriptor, which the caller closes. It is
// ErrUnsupportedOp if there are several listeners. The engine then does not remove the file of a
// unix socket.
func (e Engine) Dup() (fd int, err error) {
	if err := e.Validate(); err != nil {
		return -1, err
	}
	if len(e.r.listeners) > 1 {
		return -1, errors.ErrUnsupportedOp
	}
	return e.r.listeners[0].dup(e.r)
}

// DupListener is Dup for one of several listeners.
func (e Engine) DupListener(network, addr string) (int, error) {
	if err := e.Validate(); err != nil {
		return -1, err
	}
	for _, l := range e.r.listeners {
		if strings.TrimRight(l.network, "46") == strings.TrimRight(network, "46") && l.address == addr {
			return l.dup(e.r)
		}
	}
	return -1, errors.ErrInvalidNetworkAddress
}

// Stop ends the engine in order, and waits until it has ended or ctx ends. On a loop it does not
// wait, and returns engine.ErrOnLoop.
func (e Engine) Stop(ctx context.Context) error {
	if err := e.Validate(); err != nil {
		return err
	}
	e.r.stop()
	if e.r.engine.OnLoop() {
		return engine.ErrOnLoop
	}
	select {
	case <-e.r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *listener) dup(r *runner) (int, error) {
	if l.stream != nil {
		f, err := l.stream.File()
		if err != nil {
			return -1, err
		}
		defer f.Close()
		return dup(f)
	}
	type result struct {
		fd  int
		err error
	}
	first := make(chan result, 1)
	err := l.packet.Post(func(p *engine.PacketConn) {
		n, err := dup(p)
		select {
		case first <- result{n, err}:
		default: // another loop's socket was first
			syscall.Close(n)
		}
	})
	if err != nil {
		return -1, err
	}
	select {
	case d := <-first:
		return d.fd, d.err
	case <-r.done:
		return -1, errors.ErrEngineInShutdown
	}
}

func dup(c syscall.Conn) (int, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	n := -1
	failed := rc.Control(func(fd uintptr) { n, err = socket.Dup(int(fd)) })
	if failed != nil {
		return -1, failed
	}
	return n, err
}
