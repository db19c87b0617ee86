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
	return e.r.listeners[0].dup()
}

// DupListener is Dup for one of several listeners.
func (e Engine) DupListener(network, addr string) (int, error) {
	if err := e.Validate(); err != nil {
		return -1, err
	}
	for _, l := range e.r.listeners {
		if strings.TrimRight(l.network, "46") == strings.TrimRight(network, "46") && l.address == addr {
			return l.dup()
		}
	}
	return -1, errors.ErrInvalidNetworkAddress
}

// Stop ends the engine in order, and waits until it has ended or ctx ends. On a loop it does not
// wait, and returns engine.ErrOnLoop. OnBoot, OnShutdown and OnTick must not call it: it would wait
// for them. OnBoot and OnTick may return Shutdown instead.
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

// dup returns a copy of the listener's descriptor.
func (l *listener) dup() (int, error) {
	if l.stream == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.copy < 0 {
			return -1, errors.ErrEngineInShutdown
		}
		return socket.Dup(l.copy)
	}
	f, err := l.stream.File()
	if err != nil {
		return -1, err
	}
	defer f.Close()
	rc, err := f.SyscallConn()
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

// keepCopy keeps a copy of a datagram socket's descriptor for dup: the engine tells the descriptor
// only on the loop, which does not run yet in OnBoot. The last copy is the one that counts: Listen
// may have opened others in vain.
func (l *listener) keepCopy(fd int) (err error) {
	l.closeCopy()
	l.copy, err = socket.Dup(fd)
	return err
}

func (l *listener) closeCopy() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.copy >= 0 {
		syscall.Close(l.copy)
		l.copy = -1
	}
}

// closeCopies ends what keepCopy keeps.
func (r *runner) closeCopies() {
	for _, l := range r.listeners {
		l.closeCopy()
	}
}
