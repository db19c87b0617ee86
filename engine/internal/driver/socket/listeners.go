//go:build unix

package socket

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Listeners are the listeners of a poller. The zero value is empty. The loop adds and accepts; any
// goroutine may remove one. A descriptor that is closed can be somebody else's a moment later, so
// accept(2) and close(2) exclude each other.
type Listeners struct {
	mu  sync.Mutex
	all []listener
}

type listener struct {
	fd int
	t  driver.Token
	// wary is set once somebody has cleared O_NONBLOCK: see accept.
	wary bool
}

// Add adds a listener.
func (ls *Listeners) Add(fd int, t driver.Token) {
	ls.mu.Lock()
	ls.all = append(ls.all, listener{fd: fd, t: t})
	ls.mu.Unlock()
}

// Remove removes t, if it is there, and calls closeFd, which closes its descriptor.
func (ls *Listeners) Remove(t driver.Token, closeFd func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.find(t); l != nil {
		last := len(ls.all) - 1
		*l = ls.all[last]
		ls.all = ls.all[:last]
	}
	closeFd()
}

// Accept accepts one connection, which is non-blocking and close-on-exec. The error is EAGAIN if
// none is waiting, or if t is not there.
func (ls *Listeners) Accept(t driver.Token) (int, syscall.Errno) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.find(t)
	if l == nil {
		return -1, unix.EAGAIN
	}
	return l.accept()
}

func (ls *Listeners) find(t driver.Token) *listener {
	for i := range ls.all {
		if ls.all[i].t == t {
			return &ls.all[i]
		}
	}
	return nil
}

// accept never waits for a connection. accept(2) has no MSG_DONTWAIT, and O_NONBLOCK belongs to the
// socket, which other processes may share: os.File.Fd clears it, and os/exec calls that. So the
// flag is asked for, and restored. If somebody has cleared it once, the backlog is asked as well,
// because the flag may be cleared again at any moment: then accept(2) can wait only if, in that
// very moment, another process also takes the connection away.
func (l *listener) accept() (int, syscall.Errno) {
	flags, err := getFlags(l.fd)
	if err != 0 {
		return -1, err
	}
	if flags&unix.O_NONBLOCK == 0 {
		l.wary = true
		unix.FcntlInt(uintptr(l.fd), unix.F_SETFL, flags|unix.O_NONBLOCK)
	}
	if l.wary && !readable(l.fd) {
		return -1, unix.EAGAIN
	}
	return acceptNow(l.fd)
}

// readable reports whether a connection is waiting.
func readable(fd int) bool {
	p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p[:], 0)
	return n > 0 || err != nil
}
