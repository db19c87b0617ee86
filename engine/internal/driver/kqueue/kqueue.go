//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package kqueue

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

const batchSize = 1024

// Backend makes kqueue drivers.
type Backend struct{}

func (Backend) Name() string { return "kqueue" }

// Open makes a driver: a kqueue, and a pipe that wakes it. EVFILT_USER would save the pipe, but not every BSD has it.
func (Backend) Open() (driver.Driver, error) {
	syscall.ForkLock.RLock()
	kq, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(kq)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	d := &kqueue{kq: kq, start: time.Now(), kevents: make([]unix.Kevent_t, batchSize), wakeIn: -1, wakeOut: -1}
	if err := d.openPipe(); err != nil {
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

type kqueue struct {
	kq      int
	start   time.Time
	kevents []unix.Kevent_t
	batch   batch
	owners  owners
	wakeOut int // read here

	datagrams socket.Datagrams

	mu     sync.Mutex // guards wakeIn, which other goroutines use
	wakeIn int        // written here
}

func (d *kqueue) openPipe() error {
	var p [2]int
	syscall.ForkLock.RLock()
	err := unix.Pipe(p[:])
	if err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("pipe", err)
	}
	d.wakeOut, d.wakeIn = p[0], p[1]
	for _, fd := range p {
		if err := unix.SetNonblock(fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return d.control(d.wakeOut, change{readable, true})
}

func (d *kqueue) Now() time.Duration { return time.Since(d.start) }

func (d *kqueue) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	if d.batch.pending() {
		return d.batch.deliver(s, d), nil
	}
	var wait *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		wait = &t
	}
	n, err := unix.Kevent(d.kq, nil, d.kevents, wait)
	if timeout != 0 {
		s.Awake()
	}
	if err != nil {
		if err == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("kevent", err)
	}
	d.translate(d.kevents[:n])
	return d.batch.deliver(s, d), nil
}

func (d *kqueue) translate(kevents []unix.Kevent_t) {
	d.batch.events, d.batch.next = d.batch.events[:0], 0
	for i := range kevents {
		k := &kevents[i]
		e := event{fd: int(k.Ident), filter: other, eof: uint32(k.Flags)&unix.EV_EOF != 0}
		switch {
		case e.fd == d.wakeOut:
			d.drainPipe()
		case int64(k.Filter) == unix.EVFILT_READ:
			e.filter = readable
		case int64(k.Filter) == unix.EVFILT_WRITE:
			e.filter = writable
		}
		switch {
		case uint32(k.Flags)&unix.EV_ERROR != 0:
			e.err = syscall.Errno(k.Data)
		case e.eof:
			e.err = syscall.Errno(k.Fflags)
		}
		e.token = d.owners.of(e.fd)
		d.batch.events = append(d.batch.events, e)
	}
}

func (d *kqueue) drainPipe() {
	for b := make([]byte, 64); ; {
		if n, err := unix.Read(d.wakeOut, b); n < len(b) || err != nil {
			return
		}
	}
}

// Wake writes to the pipe. A full one is fine: the loop has not read it yet, and will.
func (d *kqueue) Wake() {
	d.mu.Lock()
	if d.wakeIn >= 0 {
		unix.Write(d.wakeIn, []byte{0})
	}
	d.mu.Unlock()
}

// control makes one change in the kernel's list.
func (d *kqueue) control(fd int, c change) error {
	mode, flags := unix.EVFILT_READ, unix.EV_DELETE
	if c.filter == writable {
		mode = unix.EVFILT_WRITE
	}
	if c.add {
		flags = unix.EV_ADD
	}
	var k [1]unix.Kevent_t
	unix.SetKevent(&k[0], fd, mode, flags)
	for {
		_, err := unix.Kevent(d.kq, k[:], nil, nil)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("kevent", err)
	}
}

func (d *kqueue) Listen(fd int, t driver.Token) error {
	d.owners.set(fd, t)
	socket.SetOption(fd, driver.NoDelay, 1) // connections inherit it; a unix socket has no such option
	return d.control(fd, change{readable, true})
}

func (d *kqueue) SetListen(fd int, t driver.Token, accept bool) error {
	return d.control(fd, change{readable, accept})
}

func (d *kqueue) Register(fd int, t driver.Token, i driver.Interest) error {
	d.owners.set(fd, t)
	return d.SetInterest(fd, t, 0, i)
}

func (d *kqueue) SetInterest(fd int, _ driver.Token, from, to driver.Interest) error {
	list, n := changes(from, to)
	for _, c := range list[:n] {
		if err := d.control(fd, c); err != nil {
			return err
		}
	}
	return nil
}

func (d *kqueue) read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, err := unix.Read(fd, b)
		if err == nil {
			return n, 0
		}
		if err != unix.EINTR {
			return 0, errno(err)
		}
	}
}

func (d *kqueue) Accept(fd int, t driver.Token, s driver.Sink) { accept(event{fd: fd, token: t}, s, d) }

func (d *kqueue) accept(fd int) (int, syscall.Errno) {
	c, err := socket.Accept(fd)
	if err != nil {
		return -1, errno(err)
	}
	return c, 0
}

func errno(err error) syscall.Errno {
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO
}

func (d *kqueue) Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Writev writes the buffers one by one where x/sys has no writev for the system; the kernel puts them together again.
func (d *kqueue) Writev(fd int, bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		n, err := d.Write(fd, b)
		total += n
		if err != nil && total == 0 {
			return 0, err
		}
		if n < len(b) {
			break
		}
	}
	return total, nil
}

func (d *kqueue) Receive(fd int) ([]driver.Datagram, error) { return d.datagrams.Receive(fd) }

func (d *kqueue) Send(fd int, inet6 bool, batch []driver.Datagram) (int, error) {
	return d.datagrams.Send(fd, inet6, batch)
}

func (d *kqueue) CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// Close closes fd, which takes it off the kernel's list.
func (d *kqueue) Close(fd int, reset bool) {
	d.owners.set(fd, 0)
	if reset {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(fd)
}

func (d *kqueue) Release(fd int, t driver.Token, i driver.Interest) {
	d.SetInterest(fd, t, i, 0)
	d.owners.set(fd, 0)
}

func (d *kqueue) IncomingCPU(fd int) int    { return socket.IncomingCPU(fd) }
func (d *kqueue) Unacknowledged(fd int) int { return socket.Unacknowledged(fd) }

func (d *kqueue) Connected(fd int) (bool, error) { return socket.Connected(fd) }

func (d *kqueue) Local(fd int) netip.AddrPort  { return socket.Local(fd) }
func (d *kqueue) Remote(fd int) netip.AddrPort { return socket.Remote(fd) }

func (d *kqueue) SetOption(fd int, o driver.Option, value int) error {
	return socket.SetOption(fd, o, value)
}

func (d *kqueue) Shut() {
	d.mu.Lock()
	if d.wakeIn >= 0 {
		unix.Close(d.wakeIn)
		unix.Close(d.wakeOut)
	}
	d.wakeIn, d.wakeOut = -1, -1
	d.mu.Unlock()
	unix.Close(d.kq)
}
