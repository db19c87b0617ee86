//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// needsLine says that handovers here use a line. Tests set it where the system does not need it.
var needsLine = lossyShutdown

// offerLine makes the giver's second pair of sockets, and sends the taker's end of it. Nothing else
// has been sent yet, so there is room.
func (c *unixConn) offerLine() error {
	near, far, err := pair()
	if err != nil {
		return fmt.Errorf("set up the connection: %w", err)
	}
	if _, err = c.Send([]byte{0}, []int{far}); err != nil {
		unix.Close(near)
		unix.Close(far)
		return err
	}
	c.line, c.far = near, far
	return nil
}

// takeLine receives the taker's end. The error is ErrWouldBlock if it has not come yet.
func (c *unixConn) takeLine() error {
	n, fds, err := c.Receive(make([]byte, 1), nil)
	if err != nil {
		return err
	}
	if n != 1 || len(fds) != 1 {
		closeFDs(fds)
		return malformed("%d bytes and %d descriptors in the beginning", n, len(fds))
	}
	if err := prepare(fds[0]); err != nil {
		unix.Close(fds[0])
		return fmt.Errorf("set up the connection: %w", err)
	}
	c.line = fds[0]
	return nil
}

// awaitLine waits for the taker's end.
func awaitLine(ctx context.Context, c *unixConn) error {
	stop := context.AfterFunc(ctx, c.Wake)
	defer stop()
	for {
		err := c.takeLine()
		if err != ErrWouldBlock {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.Wait(false, time.Hour); err != nil {
			return err
		}
	}
}

// pair returns two connected sockets.
func pair() (a, b int, err error) {
	fds, err := socketpair()
	if err != nil {
		return -1, -1, err
	}
	for _, fd := range fds {
		if err := prepare(fd); err != nil {
			closeFDs(fds[:])
			return -1, -1, err
		}
	}
	return fds[0], fds[1], nil
}
