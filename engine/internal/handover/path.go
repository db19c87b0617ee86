//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is a unix socket that waits for takers. Its methods may be called from any goroutine.
type Socket struct {
	path   string
	file   fs.FileInfo // at the path; nil: not ours
	shared atomic.Bool // see Share
	fd     int
	ln     *net.UnixListener // of a copy of fd
}

const backlog = 8

// Listen opens a unix socket at path. Only this user can connect, at any moment: its mode is 0600.
// A socket that nobody answers at is replaced; the error is ErrInUse otherwise.
func Listen(path string) (*Socket, error) {
	s, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return s, nil
}

func listen(path string) (*Socket, error) {
	if err := checkPeers(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path) // not an abstract one, which has no mode
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkUnused(path); err != nil {
		return nil, err
	}
	// Nobody can connect before listen(2), and the file has its mode before.
	draft := filepath.Join(filepath.Dir(path), ".h"+strconv.FormatUint(uint64(rand.Uint32()), 36))
	fd, err := newSocket()
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: draft}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if err = os.Chmod(draft, 0o600); err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		unix.Close(fd)
		os.Remove(draft)
		return nil, err
	}
	s, err := newSocketAt(path, fd)
	if err != nil {
		os.Remove(path)
	}
	return s, err
}

// checkPeers reports a system that does not know who is at the other end.
func checkPeers() error {
	fds, err := socketpair()
	if err != nil {
		return err
	}
	defer closeFDs(fds[:])
	_, err = peerUID(fds[0])
	return err
}

// lockFolder keeps other processes from replacing a socket between the check and the rename, or the
// removal. The kernel unlocks what a process leaves locked. Whoever may read the folder can lock
// it, also another user, who must not keep this process from offering: after a second it does
// without.
func lockFolder(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for range 100 {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return func() { f.Close() }, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	f.Close()
	if err == unix.EWOULDBLOCK {
		return func() {}, nil
	}
	return nil, fmt.Errorf("lock %s: %w", folder, err)
}

// checkUnused returns ErrInUse unless nothing is at the path, or a socket that nobody answers at.
func checkUnused(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: it is not a socket", ErrInUse)
	}
	fd, err := connect(path)
	switch {
	case err == nil:
		unix.Close(fd)
		return ErrInUse
	case errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.EAGAIN):
		return ErrInUse
	}
	return err
}

// Inherit returns a Socket for one that came as a Listener, see Socket.FD. It is the owner of fd,
// also after an error.
func Inherit(path string, fd int) (*Socket, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		var s *Socket
		if s, err = newSocketAt(path, fd); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("inherit %s: %w", path, err)
}

// newSocketAt takes fd over, also after an error.
func newSocketAt(path string, fd int) (*Socket, error) {
	ln, err := listenerOf(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	s := &Socket{path: path, fd: fd, ln: ln}
	s.file, _ = os.Lstat(path)
	return s, nil
}

// listenerOf returns a listener on a copy of fd.
func listenerOf(fd int) (*net.UnixListener, error) {
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "handover")
	defer f.Close()
	nl, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	ln, ok := nl.(*net.UnixListener)
	if !ok {
		nl.Close()
		return nil, errors.New("not a unix socket")
	}
	return ln, nil
}

// FD returns the descriptor of the listening socket, so that it can be one of the Listeners. Then a
// successor that offers in turn has it from the beginning, and no connect is refused in between.
// The Socket stays its owner.
func (s *Socket) FD() int { return s.fd }

// Accept waits for a taker of the same user. Others are dropped. It must not be called by two
// goroutines at a time. The error is the cause of ctx, or of the system. A process that only looks
// whether somebody is there, as Listen does, comes out too: its handover ends with ErrClosed.
func (s *Socket) Accept(ctx context.Context) (Waiter, error) {
	s.ln.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { s.ln.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		nc, err := s.ln.AcceptUnix()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil, context.Cause(ctx)
		}
		if op := new(net.OpError); errors.As(err, &op) {
			err = op.Err // its address is the name that the socket had before Listen renamed it
		}
		if err != nil {
			return nil, fmt.Errorf("accept at %s: %w", s.path, err)
		}
		c, err := accepted(nc)
		nc.Close()
		if errors.Is(err, ErrPeer) || errors.Is(err, ErrClosed) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("accept at %s: %w", s.path, err)
		}
		return c, nil
	}
}

// accepted returns a copy of nc, with the line that this system may need, if its peer may have one.
func accepted(nc *net.UnixConn) (*unixConn, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(p uintptr) { fd, dupErr = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	c, err := samePeer(fd)
	if err == nil && needsLine {
		if err = c.offerLine(); err != nil {
			c.Close()
		}
	}
	return c, err
}

// IsShortage reports whether an error of Accept, or of what follows it, is that there are no
// descriptors or no memory left: it is worth another try later.
func IsShortage(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) ||
		errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM)
}

// Share notes that another process goes on waiting at the socket, so that Close must leave the
// file.
func (s *Socket) Share() { s.shared.Store(true) }

// Close closes the socket. If remove is set and the file at the path is still this socket's, it is
// removed, unless Share was called; leave it to a successor that has inherited it. Accept ends.
func (s *Socket) Close(remove bool) error {
	err := s.ln.Close()
	unix.Close(s.fd)
	if !remove || s.file == nil || s.shared.Load() {
		return err
	}
	// Or Listen could replace the file just before it is removed. An error means that the folder is
	// gone.
	if unlock, e := lockFolder(filepath.Dir(s.path)); e == nil {
		defer unlock()
	}
	if now, e := os.Lstat(s.path); e == nil && os.SameFile(now, s.file) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}
