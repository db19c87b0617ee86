package engine

import (
	"os"
)

// File returns another descriptor of the listening socket, for a process that is started to take
// the listener over: see exec.Cmd.ExtraFiles and net.FileListener. The caller closes it. From now
// on somebody else may serve the socket too, so this Listener, when it ends, leaves what waits in
// the backlog alone, and does not remove the file of a unix socket. File returns ErrClosed after
// Close. It may be called from any goroutine.
func (ln *Listener) File() (*os.File, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return nil, ErrClosed
	}
	fd, err := duplicate(ln.fd)
	if err != nil {
		return nil, err
	}
	ln.shared.Store(true)
	return os.NewFile(uintptr(fd), ln.String()), nil
}
