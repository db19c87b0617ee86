package engine

import (
	"errors"
	"syscall"
)

// SyscallConn gives access to the connection's descriptor, for options that Conn has no method for,
// such as SO_PEERCRED of unix(7) or TCP_USER_TIMEOUT of tcp(7). Control of the result calls f at
// once. Like a method of Conn, it may be called only on the loop, and it returns ErrClosed after
// the connection has closed. f must not read, write or close the descriptor, nor keep it; it may
// duplicate it. Read and Write return errors.ErrUnsupported: the loop does both.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.fd < 0 {
		return nil, ErrClosed
	}
	return (*rawConn)(c), nil
}

// rawConn is a Conn as a syscall.RawConn.
type rawConn Conn

func (r *rawConn) Control(f func(fd uintptr)) error {
	c := (*Conn)(r)
	if c.fd < 0 {
		return ErrClosed
	}
	c.loop.checkTurn()
	f(uintptr(c.fd))
	return nil
}

func (*rawConn) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (*rawConn) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// SyscallConn gives access to the socket's descriptor: see Conn.SyscallConn.
func (p *PacketConn) SyscallConn() (syscall.RawConn, error) {
	if p.closed {
		return nil, ErrClosed
	}
	return (*rawPacketConn)(p), nil
}

// rawPacketConn is a PacketConn as a syscall.RawConn.
type rawPacketConn PacketConn

func (r *rawPacketConn) Control(f func(fd uintptr)) error {
	p := (*PacketConn)(r)
	if p.closed {
		return ErrClosed
	}
	p.loop.checkTurn()
	f(uintptr(p.fd))
	return nil
}

func (*rawPacketConn) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (*rawPacketConn) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
