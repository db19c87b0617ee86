//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// unixConn is a Waiter on a unix socket.
//
// Shutdown needs a socket whose queue survives shutdown(SHUT_RD). Linux has that. Elsewhere the
// queue is lost, so the giver makes a second pair of sockets for what the taker sends, and keeps a
// copy of the taker's end: shutdown(SHUT_WR) on the copy stops the taker and leaves the queue. See
// offerLine and awaitLine.
type unixConn struct {
	fd   int // receives and sends, unless there is a line
	line int // receives instead, at the giver; sends instead, at the taker; else -1
	far  int // the giver's copy of the taker's end; else -1
	oob  []byte
	wake [2]int

	mu     sync.Mutex // for Wake beside Close
	closed bool
}

// controlSize holds the descriptors of one message, and one more.
var controlSize = unix.CmsgSpace(4 * (MaxDescriptors + 1))

// newUnixConn takes fd over, also after an error.
func newUnixConn(fd int) (*unixConn, error) {
	c := &unixConn{fd: fd, line: -1, far: -1, oob: make([]byte, controlSize)}
	err := prepare(fd)
	if err == nil {
		err = pipe(&c.wake)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up the connection: %w", err)
	}
	return c, nil
}

// giver reports whether this end has the line to receive from.
func (c *unixConn) giver() bool { return c.far >= 0 }

func (c *unixConn) Send(p []byte, fds []int) (int, error) {
	fd := c.fd
	if c.line >= 0 && !c.giver() {
		fd = c.line
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		n, err := unix.SendmsgN(fd, p, rights, nil, sendFlags)
		switch {
		case err == nil:
			return n, nil
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, ErrWouldBlock
		case err == unix.ETOOMANYREFS || err == unix.ENOBUFS:
			return 0, ErrTooManyRefs
		case err == unix.EPIPE || err == unix.ECONNRESET || err == unix.ENOTCONN:
			return 0, ErrClosed
		default:
			return 0, fmt.Errorf("send: %w", err)
		}
	}
}

func (c *unixConn) Receive(p []byte, fds []int) (int, []int, error) {
	if !c.giver() {
		return c.receive(c.fd, p, fds)
	}
	n, got, err := c.receive(c.line, p, fds)
	if err != ErrWouldBlock {
		return n, got, err
	}
	// The line has no end while we have a copy of its other end: ask the socket for it, and then
	// the line again, because the taker may have sent something before it closed both.
	_, stray, err := c.receive(c.fd, nil, nil)
	if err == ErrWouldBlock {
		return 0, fds, err
	}
	closeFDs(stray)
	unix.Shutdown(c.far, unix.SHUT_WR)
	return c.receive(c.line, p, fds)
}

// receive receives from fd. A p without bytes only asks whether it has ended.
func (c *unixConn) receive(fd int, p []byte, fds []int) (int, []int, error) {
	if len(p) == 0 {
		p = make([]byte, 1)
	}
	for {
		n, got, flags, err := recvmsg(fd, p, c.oob)
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = errTruncated
		}
		switch {
		case err == nil && n == 0:
			closeFDs(got)
			return 0, fds, io.EOF
		case err == nil:
			return n, append(fds, got...), nil
		}
		closeFDs(got)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, fds, ErrWouldBlock
		case unix.ECONNRESET: // the other end has not read everything
			return 0, fds, io.EOF
		default:
			return 0, fds, fmt.Errorf("receive: %w", err)
		}
	}
}

var errTruncated = errors.New("descriptors were cut off: is the limit of open files (RLIMIT_NOFILE) too low?")

// rights returns the descriptors of a control message.
func rights(oob []byte) (fds []int, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		more, e := unix.ParseUnixRights(&messages[i])
		if e != nil {
			err = e
		}
		fds = append(fds, more...)
	}
	return fds, err
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func (c *unixConn) Shutdown() {
	if c.giver() {
		unix.Shutdown(c.far, unix.SHUT_WR)
	}
	unix.Shutdown(c.fd, unix.SHUT_RDWR)
}

func (c *unixConn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	for _, fd := range []*int{&c.fd, &c.line, &c.far, &c.wake[0], &c.wake[1]} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// IsGone reports whether the process at the other end has given up already, as one may that has
// waited for Accept. It is for what Accept has returned.
func IsGone(w Waiter) bool {
	c, ok := w.(*unixConn)
	if !ok {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(c.fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

func (c *unixConn) CloseDescriptor(fd int) { unix.Close(fd) }

func (c *unixConn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		unix.Write(c.wake[1], []byte{0}) // a full pipe wakes too
	}
}

func (c *unixConn) Wait(write bool, d time.Duration) error {
	send := c.fd
	fds := []unix.PollFd{{Fd: int32(c.wake[0]), Events: unix.POLLIN}, {Fd: int32(c.fd), Events: unix.POLLIN}}
	if c.line >= 0 && c.giver() {
		fds = append(fds, unix.PollFd{Fd: int32(c.line), Events: unix.POLLIN})
	} else if c.line >= 0 {
		send = c.line
	}
	if write {
		fds = append(fds, unix.PollFd{Fd: int32(send), Events: unix.POLLOUT})
	}
	// rounded up, so that the time has come afterwards
	ms := max(0, (d+time.Millisecond-1)/time.Millisecond)
	_, err := unix.Poll(fds, int(min(ms, 1<<30)))
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("poll: %w", err)
	}
	if fds[0].Revents != 0 {
		var buf [64]byte
		unix.Read(c.wake[0], buf[:])
	}
	return nil
}
