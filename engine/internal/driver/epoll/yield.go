//go:build linux

package epoll

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// yielder lets other goroutines run. runtime.Gosched is not enough: the scheduler looks for ready
// sockets only when it has nothing to run, and a goroutine that has yielded can run. So the loop
// waits, by the runtime's own poller, for an eventfd that it has just written to. The scheduler
// then has to ask the kernel, which tells it of all other sockets as well.
//
// It is opened by the first use, so that a loop that is never busy has no such descriptor.
type yielder struct {
	file    *os.File
	raw     syscall.RawConn
	wait    func(fd uintptr) (done bool)
	waiting bool // wait was called once
}

func (y *yielder) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	y.file = os.NewFile(uintptr(fd), "yield")
	if y.raw, err = y.file.SyscallConn(); err != nil {
		return err
	}
	// Every write is an edge for the runtime's poller, which is edge-triggered: see Open.
	y.wait = func(fd uintptr) bool {
		if y.waiting {
			return true
		}
		y.waiting = true
		_, _, errno := syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
		return errno != 0
	}
	return nil
}

// yield runs other goroutines.
func (y *yielder) yield() {
	if y.file == nil && y.open() != nil { // no descriptor is left
		runtime.Gosched()
		return
	}
	y.waiting = false
	y.raw.Read(y.wait) // an error means that the runtime cannot poll it
	// The eventfd was the last to become ready, and what became ready last runs first.
	runtime.Gosched()
}

func (y *yielder) close() {
	if y.file != nil {
		y.file.Close()
	}
}

// Yield implements driver.Poller. That another thread goes on with the loop means that one was
// idle, and waited for the sockets of other goroutines.
func (p *poller) Yield() (idle bool) {
	before := thread()
	p.yielder.yield()
	return thread() != before
}

func thread() uintptr {
	id, _, _ := syscall.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	return id
}
