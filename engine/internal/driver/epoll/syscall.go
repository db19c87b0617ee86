//go:build linux

package epoll

import (
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollNow is epoll_pwait(2) with timeout 0, which cannot block.
func pollNow(ep int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// noPwait2 is set where epoll_pwait2(2) is missing (before Linux 5.11), or a sandbox forbids it.
var noPwait2 atomic.Bool

// pollWait waits for events, up to timeout, which is not negative unless it is forever. Its
// resolution is that of the kernel's timers: epoll_pwait(2), which counts in milliseconds, would be
// up to one late. The scheduler gives our processor to others while it blocks.
func pollWait(ep int, events []unix.EpollEvent, timeout time.Duration) (int, unix.Errno) {
	if !noPwait2.Load() {
		n, errno := pwait2(ep, events, timeout)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return n, errno
		}
		noPwait2.Store(true)
	}
	return waitThenPoll(ep, events, timeout)
}

// pwait2 is epoll_pwait2(2).
func pwait2(ep int, events []unix.EpollEvent, timeout time.Duration) (int, unix.Errno) {
	limit, at := kernelTimespec{int64(timeout / time.Second), int64(timeout % time.Second)}, (*kernelTimespec)(nil)
	if timeout >= 0 {
		at = &limit
	}
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(at)), 0, 0)
	return int(n), errno
}

// kernelTimespec is struct __kernel_timespec, which has 64 bits on all systems.
type kernelTimespec struct{ sec, nsec int64 }

// waitThenPoll does the same by ppoll(2), for which the epoll descriptor is one like others, and
// one more system call.
func waitThenPoll(ep int, events []unix.EpollEvent, timeout time.Duration) (int, unix.Errno) {
	var limit *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		limit = &t
	}
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(ep), Events: unix.POLLIN}}, limit, nil)
	if errno, failed := err.(unix.Errno); failed || n == 0 {
		return 0, errno
	}
	return pollNow(ep, events)
}

// readNow is recv(2) that does not block, even if somebody has cleared O_NONBLOCK, which a socket's
// descriptors share. read(2) would take 15 ns more for its work on files.
// b is not empty. It goes by way of package syscall: package unix would only jump there, which
// takes 3 ns.
func readNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// remove takes a descriptor out of the epoll set, if it is there.
func remove(ep, fd int) {
	unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(ep), unix.EPOLL_CTL_DEL, uintptr(fd), 0, 0, 0)
}
