//go:build linux

package epoll

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// pollNow is epoll_pwait(2) with timeout 0, which cannot block.
func pollNow(ep int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// pollWait is epoll_pwait(2); the scheduler gives our processor away while it blocks.
func pollWait(ep int, events []unix.EpollEvent, ms int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	return int(n), errno
}

// readNow is read(2) on a non-blocking descriptor. b is not empty.
func readNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writeNow is write(2) on a non-blocking descriptor. b is not empty. A broken pipe is EPIPE: the Go runtime ignores
// SIGPIPE on descriptors other than 1 and 2, which ours never are.
func writeNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writevNow is writev(2) on a non-blocking descriptor.
func writevNow(fd int, bufs [][]byte) (int, unix.Errno) {
	var vec [driver.MaxIovecs]unix.Iovec
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		vec[n].Base = &b[0]
		vec[n].SetLen(len(b))
		if n++; n == len(vec) {
			break
		}
	}
	if n == 0 {
		return 0, 0
	}
	for {
		k, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(n))
		if errno == 0 {
			return int(k), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// acceptNow is accept4(2) on a non-blocking listener. The peer's address is asked for when somebody wants it.
func acceptNow(fd int) (int, unix.Errno) {
	c, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(c), errno
}
