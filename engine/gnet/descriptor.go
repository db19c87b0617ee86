package gnet

import (
	"net"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/socket"

	"github.com/myriadnet/myriad/engine"
)

// descriptor is the Socket of a Conn. Its methods may be called from any goroutine. They wait for
// the loop of the connection. On another loop they return engine.ErrOnLoop, and Fd returns -1: two
// loops might wait for each other.
type descriptor struct {
	r    *runner
	raw  syscall.Conn // an *engine.Conn or *engine.PacketConn
	loop int
	tcp  bool
}

// control calls f with the descriptor on the connection's loop. The error is net.ErrClosed after
// the connection has closed.
func (d *descriptor) control(f func(fd int) error) error {
	return d.r.onLoop(d.loop, func() error {
		rc, err := d.raw.SyscallConn()
		if err != nil {
			return closedError(err)
		}
		var failed error
		if err := rc.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
			return closedError(err)
		}
		return failed
	})
}

// onLoop calls f on a loop, and returns its error.
func (r *runner) onLoop(loop int, f func() error) error {
	switch current, on := r.engine.CurrentLoop(); {
	case on && current == loop:
		return f()
	case on:
		return engine.ErrOnLoop
	}
	result := make(chan error, 1)
	if err := r.engine.Post(loop, func() { result <- f() }); err != nil {
		return closedError(err)
	}
	select {
	case err := <-result:
		return err
	case <-r.done:
		return net.ErrClosed
	}
}

// Fd returns the descriptor, or -1 after the connection has closed and on another loop. Then the
// number may be another connection's, so do not keep it: use Dup.
func (d *descriptor) Fd() int {
	n := -1
	d.control(func(fd int) error {
		n = fd
		return nil
	})
	return n
}

// Dup returns a copy of the descriptor, which the caller closes.
func (d *descriptor) Dup() (int, error) {
	n := -1
	err := d.control(func(fd int) (err error) {
		n, err = socket.Dup(fd)
		return err
	})
	return n, err
}

// SetReadBuffer sets SO_RCVBUF.
func (d *descriptor) SetReadBuffer(bytes int) error {
	return d.control(func(fd int) error { return socket.SetRecvBuffer(fd, bytes) })
}

// SetWriteBuffer sets SO_SNDBUF.
func (d *descriptor) SetWriteBuffer(bytes int) error {
	return d.control(func(fd int) error { return socket.SetSendBuffer(fd, bytes) })
}

// SetLinger sets SO_LINGER. A negative number of seconds switches it off.
func (d *descriptor) SetLinger(secs int) error {
	return d.control(func(fd int) error { return socket.SetLinger(fd, secs) })
}

// SetNoDelay sets TCP_NODELAY.
func (d *descriptor) SetNoDelay(on bool) error {
	value := 0
	if on {
		value = 1
	}
	return d.control(func(fd int) error { return socket.SetNoDelay(fd, value) })
}

// SetKeepAlivePeriod makes the kernel probe the peer after period without traffic, and then every
// fifth of it.
func (d *descriptor) SetKeepAlivePeriod(period time.Duration) error {
	if !d.tcp {
		return errors.ErrUnsupportedOp
	}
	return d.control(func(fd int) error { return socket.SetKeepAlivePeriod(fd, int(period.Seconds())) })
}

// SetKeepAlive makes the kernel probe the peer after idle without traffic, and then every interval,
// up to count times.
func (d *descriptor) SetKeepAlive(on bool, idle, interval time.Duration, count int) error {
	if !d.tcp {
		return errors.ErrUnsupportedOp
	}
	return d.control(func(fd int) error {
		return socket.SetKeepAlive(fd, on, int(idle.Seconds()), int(interval.Seconds()), count)
	})
}
