package engine

import (
	"errors"
	"syscall"
)

// rawSocket is a new socket as a syscall.RawConn.
type rawSocket int

func (s rawSocket) Control(f func(fd uintptr)) error {
	f(uintptr(s))
	return nil
}

func (rawSocket) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (rawSocket) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// controls makes what a driver calls of a user's Control, nil if that is nil.
func controls(f func(network, address string, c syscall.RawConn) error, network, address string) func(int) error {
	if f == nil {
		return nil
	}
	return func(fd int) error { return f(network, address, rawSocket(fd)) }
}
