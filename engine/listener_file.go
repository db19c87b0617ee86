package engine

import (
	"errors"
	"fmt"
	"os"
)

// File returns another descriptor of the listening socket, for a process that is started to take
// the listener over: see exec.Cmd.ExtraFiles and net.FileListener. The caller closes it. From now
// on somebody else may serve the socket too, so this Listener, when it ends, leaves what waits in
// the backlog alone, and does not remove the file of a unix socket. File may be called from any
// goroutine.
//
// The error is ErrClosed after Close. With ListenConfig.PerLoop it wraps errors.ErrUnsupported: one
// of several sockets would be a share of the connections. Let the other process open the same
// address with PerLoop instead.
func (ln *Listener) File() (*os.File, error) {
	if ln.config.PerLoop {
		return nil, fmt.Errorf("engine: a listener with PerLoop has no File: %w", errors.ErrUnsupported)
	}
	a := ln.acceptors[0]
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return nil, ErrClosed
	}
	fd, err := duplicate(a.fd)
	if err != nil {
		return nil, err
	}
	ln.shared.Store(true)
	return os.NewFile(uintptr(fd), ln.String()), nil
}
