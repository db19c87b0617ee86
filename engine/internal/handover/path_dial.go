//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to the process that offers at path. The error is ErrNobody, ErrPeer, the cause of
// ctx, or of the system.
func Dial(ctx context.Context, path string) (Waiter, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", path, err)
	}
	return c, nil
}

func dial(ctx context.Context, path string) (*unixConn, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fd, err := connect(path)
	for errors.Is(err, unix.EAGAIN) { // the backlog is full
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
		fd, err = connect(path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil, ErrNobody
	}
	if err != nil {
		return nil, err
	}
	c, err := samePeer(fd)
	if err == nil && needsLine {
		if err = awaitLine(ctx, c); err != nil {
			c.Close()
		}
	}
	return c, err
}

// connect connects at once, or not at all.
func connect(path string) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// samePeer returns a unixConn if the other end has this process's user. It takes fd over.
func samePeer(fd int) (*unixConn, error) {
	uid, err := peerUID(fd)
	if err == nil && uid != os.Geteuid() {
		err = fmt.Errorf("%w: uid %d", ErrPeer, uid)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return newUnixConn(fd)
}
