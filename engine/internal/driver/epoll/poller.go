//go:build linux

package epoll

import (
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

const batchSize = 1024 // events per epoll_pwait

// wakeToken is the eventfd's registration. No connection has generation 0.
const wakeToken driver.Token = 0

// Backend makes epoll pollers.
type Backend struct{ socket.Maker }

// Open makes a poller: an epoll descriptor and an eventfd that wakes it.
func (Backend) Open() (driver.Poller, driver.Sockets, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, nil, os.NewSyscallError("eventfd", err)
	}
	p := &poller{ep: ep, wake: wake, start: time.Now(), events: make([]unix.EpollEvent, batchSize)}
	// Edge-triggered, so that the counter need not be read back: every write is an edge, and the
	// counter holds 2^64-2 of them.
	if err := p.control(unix.EPOLL_CTL_ADD, wake, wakeToken, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.Shut()
		return nil, nil, err
	}
	return p, new(socket.Operations), nil
}

// one is what a wake adds to the eventfd's counter. As a variable it costs no allocation.
var one = func() (b [8]byte) {
	binary.NativeEndian.PutUint64(b[:], 1)
	return b
}()

type poller struct {
	ep        int
	start     time.Time
	events    []unix.EpollEvent
	batch     driver.Rotation // of events; what a panic leaves is still to be delivered
	listeners socket.Listeners
	yielder   yielder

	mu   sync.Mutex // guards wake, which other goroutines use
	wake int
}

func (p *poller) Now() time.Duration { return time.Since(p.start) }

func (p *poller) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	if p.batch.Left() > 0 {
		return p.deliver(s), nil
	}
	var n int
	var errno unix.Errno
	if timeout == 0 {
		n, errno = pollNow(p.ep, p.events)
	} else {
		n, errno = pollWait(p.ep, p.events, timeout)
		s.Awake()
	}
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("epoll_pwait", errno)
	}
	p.batch.Begin(n)
	return p.deliver(s), nil
}

// Wake writes to the eventfd. Without the lock it could write to a descriptor that Shut has closed
// and that is something else by now.
func (p *poller) Wake() {
	p.mu.Lock()
	if p.wake >= 0 {
		unix.Write(p.wake, one[:])
	}
	p.mu.Unlock()
}

func (p *poller) control(op, fd int, t driver.Token, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(t.Slot()), Pad: int32(t.Generation())}
	if err := unix.EpollCtl(p.ep, op, fd, &ev); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

func (p *poller) RegisterListener(fd int, t driver.Token) error {
	if err := p.control(unix.EPOLL_CTL_ADD, fd, t, unix.EPOLLIN); err != nil {
		return err
	}
	p.listeners.Add(fd, t)
	// Connections inherit it. Unix sockets have no such option.
	socket.SetOption(fd, driver.NoDelay, 1)
	return nil
}

// SetAccepting implements driver.Poller. Another process that has the socket may shut it down,
// which is EPOLLHUP: see mask.
func (p *poller) SetAccepting(fd int, t driver.Token, accept bool) error {
	var i driver.Interest
	if accept {
		i = driver.Read
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, t, mask(i))
}

// mask returns the events of an interest. epoll reports EPOLLHUP and EPOLLERR unasked and
// level-triggered. A connection without any interest, which nobody reads from, would keep the loop
// spinning; edge-triggered it is told once.
func mask(i driver.Interest) (events uint32) {
	if i == 0 {
		return unix.EPOLLET
	}
	if i&driver.Read != 0 {
		events |= unix.EPOLLIN
	}
	if i&driver.Write != 0 {
		events |= unix.EPOLLOUT
	}
	return events
}

func (p *poller) Register(fd int, t driver.Token, i driver.Interest) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, t, mask(i))
}

func (p *poller) SetInterest(fd int, t driver.Token, from, to driver.Interest) error {
	if from == to {
		return nil
	}
	return p.control(unix.EPOLL_CTL_MOD, fd, t, mask(to))
}

// Close takes fd out of the epoll set first. close(2) alone would do that only if no other
// descriptor refers to the same open file description: see epoll(7). Adopted connections, and those
// whose descriptor SyscallConn has shown, may have another one. Otherwise the loop would be told of
// the closed connection for ever, and could not even say which descriptor to remove.
func (p *poller) Close(fd int, reset bool) {
	remove(p.ep, fd)
	socket.Close(fd, reset)
}

func (p *poller) CloseListener(fd int, t driver.Token) {
	p.listeners.Remove(t, func() {
		remove(p.ep, fd)
		unix.Close(fd)
	})
}

func (p *poller) Unregister(fd int, _ driver.Interest) { p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *poller) Shut() {
	p.mu.Lock()
	unix.Close(p.wake)
	p.wake = -1
	p.mu.Unlock()
	p.yielder.close()
	unix.Close(p.ep)
	p.events = nil // a Handle that is kept keeps the poller
}
