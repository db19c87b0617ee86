package engine

import "syscall"

// movable is whether connections can move to another process.
const movable = true

// linkPair returns the ends of a new connection.
func linkPair() (our, their int, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	return fds[0], fds[1], err
}

func closeLink(fd int) { syscall.Close(fd) }
