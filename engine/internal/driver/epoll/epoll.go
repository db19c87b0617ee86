//go:build linux

// Package epoll drives a loop by epoll(7).
//
// What may block (a Poll that waits) is a system call that the Go scheduler knows of. What cannot block (a Poll with
// timeout 0, read and write on a non-blocking socket, accept4) is a raw one: the scheduler's bookkeeping around a call
// costs more than the rest of our work on it.
package epoll

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

const batch = 1024

// wakeToken is the eventfd's registration. No connection has generation 0.
const wakeToken driver.Token = 0

// Backend makes epoll drivers.
type Backend struct{}

func (Backend) Name() string { return "epoll" }

// Open makes a driver: an epoll descriptor and an eventfd that wakes it.
func (Backend) Open() (driver.Driver, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	d := &epoll{ep: ep, wake: wake, start: time.Now(), events: make([]unix.EpollEvent, batch)}
	// Edge-triggered, so that nobody has to read the counter back: every write is an edge, and 2^64-2 of them fit.
	if err := d.control(unix.EPOLL_CTL_ADD, wake, wakeToken, unix.EPOLLIN|unix.EPOLLET); err != nil {
		d.Shut()
		return nil, err
	}
	return d, nil
}

func (Backend) Listen(network, address string, o driver.ListenOptions) (int, error) {
	return socket.Listen(network, address, o)
}

func (Backend) ListenPacket(network, address string, o driver.PacketOptions) (int, error) {
	return socket.ListenPacket(network, address, o)
}

func (Backend) SetGroup(fd int, group netip.Addr, ifname string, join bool) error {
	return socket.SetGroup(fd, group, ifname, join)
}

func (Backend) Connect(network, address string, local netip.AddrPort) (int, error) {
	return socket.Connect(network, address, local)
}

func (Backend) Addr(fd int) netip.AddrPort { return socket.Local(fd) }
func (Backend) Spare() (int, error)        { return socket.Spare() }
func (Backend) CloseFd(fd int)             { unix.Close(fd) }

func (Backend) NetConn(fd int) (net.Conn, error) { return socket.NetConn(fd) }

// one is what a wake adds to the eventfd's counter. It is a variable so that writing it allocates nothing.
var one = func() (b [8]byte) {
	binary.NativeEndian.PutUint64(b[:], 1)
	return b
}()

type listener struct {
	fd int
	t  driver.Token
}

type epoll struct {
	ep     int
	start  time.Time
	events []unix.EpollEvent
	// events[next:count] are still to be delivered: a handler that panics must not cost other connections their events.
	next, count int
	listeners   []listener
	datagrams   socket.Datagrams

	mu   sync.Mutex // guards wake, which other goroutines use
	wake int
}

func (d *epoll) Now() time.Duration { return time.Since(d.start) }

func (d *epoll) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	if d.next < d.count {
		return d.deliver(s), nil
	}
	var n int
	var errno unix.Errno
	if timeout == 0 {
		n, errno = pollNow(d.ep, d.events)
	} else {
		n, errno = pollWait(d.ep, d.events, milliseconds(timeout))
		s.Awake()
	}
	if errno != 0 {
		if errno == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("epoll_pwait", errno)
	}
	d.next, d.count = 0, n
	return d.deliver(s), nil
}

// milliseconds rounds up: a loop that wakes before its timer is due would spin until it is.
func milliseconds(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	return int(min((timeout+time.Millisecond-1)/time.Millisecond, 1<<31-1))
}

func (d *epoll) deliver(s driver.Sink) int {
	n := d.count - d.next
	for d.next < d.count {
		ev := &d.events[d.next]
		d.next++ // before the call, which may panic
		t := driver.MakeToken(uint32(ev.Fd), uint32(ev.Pad))
		switch {
		case t == wakeToken:
		case t.Slot()&driver.ListenerBit != 0:
			d.Accept(d.listenerFd(t), t, s)
		case t.Slot()&driver.DatagramBit != 0:
			if ev.Events&unix.EPOLLOUT != 0 {
				s.Writable(t)
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				s.Datagrams(t)
			}
		default:
			if ev.Events&unix.EPOLLOUT != 0 {
				s.Writable(t) // first: it frees memory, reading takes some
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				read(t, s, ev.Events)
			}
		}
	}
	return n
}

// read reads while the sink asks for more. EPOLLHUP and EPOLLERR come here too: the read tells what happened.
func read(t driver.Token, s driver.Sink, events uint32) {
	for {
		fd, buf := s.Reading(t)
		if fd < 0 {
			if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
				s.Writable(t) // nobody reads; the write that is waited for fails
			}
			return
		}
		n, errno := readNow(fd, buf)
		switch {
		case n > 0:
			if !s.Received(t, buf[:n], n == len(buf)) {
				return
			}
		case errno == 0:
			s.ReadClosed(t)
			return
		case errno == unix.EAGAIN:
			if events&unix.EPOLLERR != 0 {
				if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && v != 0 {
					s.Failed(t, unix.Errno(v))
				}
			}
			return
		default:
			s.Failed(t, errno)
			return
		}
	}
}

// Accept asks for the listener again each time: the last Accepted may have closed it.
func (d *epoll) Accept(fd int, t driver.Token, s driver.Sink) {
	for fd >= 0 && d.listenerFd(t) == fd {
		c, errno := acceptNow(fd)
		switch errno {
		case 0:
			if !s.Accepted(t, c) {
				return
			}
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
		default:
			s.AcceptFailed(t, errno)
			return
		}
	}
}

func (d *epoll) listenerFd(t driver.Token) int {
	for i := range d.listeners {
		if d.listeners[i].t == t {
			return d.listeners[i].fd
		}
	}
	return -1
}

// Wake writes to the eventfd. The lock keeps it from reaching a descriptor that Shut closed and somebody else got.
func (d *epoll) Wake() {
	d.mu.Lock()
	if d.wake >= 0 {
		unix.Write(d.wake, one[:])
	}
	d.mu.Unlock()
}

func (d *epoll) control(op, fd int, t driver.Token, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(t.Slot()), Pad: int32(t.Generation())}
	if err := unix.EpollCtl(d.ep, op, fd, &ev); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

func (d *epoll) Listen(fd int, t driver.Token) error {
	if err := d.control(unix.EPOLL_CTL_ADD, fd, t, unix.EPOLLIN); err != nil {
		return err
	}
	d.listeners = append(d.listeners, listener{fd, t})
	socket.SetOption(fd, driver.NoDelay, 1) // connections inherit it; a unix socket has no such option
	return nil
}

func (d *epoll) SetListen(fd int, t driver.Token, accept bool) error {
	var events uint32
	if accept {
		events = unix.EPOLLIN
	}
	return d.control(unix.EPOLL_CTL_MOD, fd, t, events)
}

func mask(i driver.Interest) (events uint32) {
	if i&driver.Read != 0 {
		events |= unix.EPOLLIN
	}
	if i&driver.Write != 0 {
		events |= unix.EPOLLOUT
	}
	return events
}

func (d *epoll) Register(fd int, t driver.Token, i driver.Interest) error {
	if i == 0 {
		return nil
	}
	return d.control(unix.EPOLL_CTL_ADD, fd, t, mask(i))
}

// SetInterest takes a descriptor without any interest out of the set: epoll reports EPOLLHUP and EPOLLERR unasked, and
// level-triggered, so a connection that nobody wants to read from would keep the loop spinning.
func (d *epoll) SetInterest(fd int, t driver.Token, from, to driver.Interest) error {
	switch {
	case from == to:
		return nil
	case to == 0:
		return d.control(unix.EPOLL_CTL_DEL, fd, t, 0)
	case from == 0:
		return d.control(unix.EPOLL_CTL_ADD, fd, t, mask(to))
	default:
		return d.control(unix.EPOLL_CTL_MOD, fd, t, mask(to))
	}
}

func (d *epoll) Write(fd int, b []byte) (int, error) {
	n, errno := writeNow(fd, b)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

func (d *epoll) Writev(fd int, bufs [][]byte) (int, error) {
	n, errno := writevNow(fd, bufs)
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

func (d *epoll) Receive(fd int) ([]driver.Datagram, error) { return d.datagrams.Receive(fd) }

func (d *epoll) Send(fd int, inet6 bool, batch []driver.Datagram) (int, error) {
	return d.datagrams.Send(fd, inet6, batch)
}

func (d *epoll) CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// Close closes fd, which takes it out of the epoll set: nothing else refers to its open file description.
func (d *epoll) Close(fd int, reset bool) {
	for i := range d.listeners {
		if d.listeners[i].fd == fd {
			d.listeners = append(d.listeners[:i], d.listeners[i+1:]...)
			break
		}
	}
	if reset {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(fd)
}

func (d *epoll) Release(fd int, t driver.Token, i driver.Interest) { d.SetInterest(fd, t, i, 0) }

func (d *epoll) IncomingCPU(fd int) int    { return socket.IncomingCPU(fd) }
func (d *epoll) Unacknowledged(fd int) int { return socket.Unacknowledged(fd) }

func (d *epoll) Connected(fd int) (bool, error) { return socket.Connected(fd) }

func (d *epoll) Local(fd int) netip.AddrPort  { return socket.Local(fd) }
func (d *epoll) Remote(fd int) netip.AddrPort { return remote(fd) }

func (d *epoll) SetOption(fd int, o driver.Option, value int) error {
	return socket.SetOption(fd, o, value)
}

func (d *epoll) Shut() {
	d.mu.Lock()
	unix.Close(d.wake)
	d.wake = -1
	d.mu.Unlock()
	unix.Close(d.ep)
}
