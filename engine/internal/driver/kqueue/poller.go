//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package kqueue

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

const batchSize = 1024

// Backend makes kqueue pollers.
type Backend struct{ socket.Maker }

// Open makes a poller: a kqueue, and a pipe that wakes it. EVFILT_USER would save the pipe, but not
// every BSD has it.
func (Backend) Open() (driver.Poller, driver.Sockets, error) {
	syscall.ForkLock.RLock()
	kq, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(kq)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("kqueue", err)
	}
	p := &poller{kq: kq, start: time.Now(), kevents: make([]unix.Kevent_t, batchSize), wakeIn: -1, wakeOut: -1}
	if err := p.openPipe(); err != nil {
		p.Shut()
		return nil, nil, err
	}
	return p, new(socket.Operations), nil
}

type poller struct {
	kq      int
	start   time.Time
	kevents []unix.Kevent_t
	batch   batch
	owners  owners
	wakeOut int // read here

	listeners socket.Listeners

	mu     sync.Mutex // guards wakeIn, which other goroutines use
	wakeIn int        // written here
}

func (p *poller) openPipe() error {
	var pipe [2]int
	syscall.ForkLock.RLock()
	err := unix.Pipe(pipe[:])
	if err == nil {
		unix.CloseOnExec(pipe[0])
		unix.CloseOnExec(pipe[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("pipe", err)
	}
	p.wakeOut, p.wakeIn = pipe[0], pipe[1]
	for _, fd := range pipe {
		if err := unix.SetNonblock(fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	return p.control(p.wakeOut, change{readable, true})
}

func (p *poller) Now() time.Duration { return time.Since(p.start) }

func (p *poller) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	if p.batch.pending() {
		return p.batch.deliver(s, p), nil
	}
	var wait *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		wait = &t
	}
	n, err := unix.Kevent(p.kq, nil, p.kevents, wait)
	if timeout != 0 {
		s.Awake()
	}
	if err != nil {
		if err == unix.EINTR {
			return 0, nil
		}
		return 0, os.NewSyscallError("kevent", err)
	}
	p.translate(p.kevents[:n])
	return p.batch.deliver(s, p), nil
}

func (p *poller) translate(kevents []unix.Kevent_t) {
	p.batch.events = p.batch.events[:0]
	for i := range kevents {
		k := &kevents[i]
		fd := int(k.Ident)
		e := event{filter: other, eof: uint32(k.Flags)&unix.EV_EOF != 0}
		switch {
		case fd == p.wakeOut:
			p.emptyPipe()
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
		e.token = p.owners.of(fd)
		p.batch.events = append(p.batch.events, e)
	}
	p.batch.order.Begin(len(p.batch.events))
}

func (p *poller) emptyPipe() {
	for b := make([]byte, 64); ; {
		if n, err := unix.Read(p.wakeOut, b); n < len(b) || err != nil {
			return
		}
	}
}

// Wake writes to the pipe. If it is full, the loop is going to read it anyway.
func (p *poller) Wake() {
	p.mu.Lock()
	if p.wakeIn >= 0 {
		unix.Write(p.wakeIn, []byte{0})
	}
	p.mu.Unlock()
}

// Yield implements driver.Poller. Those that wait for a socket run when the runtime looks for ready
// ones by itself, every 10 ms while all processors are busy.
func (p *poller) Yield() (idle bool) {
	runtime.Gosched()
	return false
}

// control makes one change in the kernel's list.
func (p *poller) control(fd int, c change) error {
	mode, flags := unix.EVFILT_READ, unix.EV_DELETE
	if c.filter == writable {
		mode = unix.EVFILT_WRITE
	}
	if c.add {
		flags = unix.EV_ADD
	}
	if c.filter == gone {
		flags |= unix.EV_CLEAR // it is told once, or the loop would spin
	}
	var k [1]unix.Kevent_t
	unix.SetKevent(&k[0], fd, mode, flags)
	if c.filter == gone && c.add {
		k[0].Fflags, k[0].Data = unix.NOTE_LOWAT, 1<<31-1 // never so many bytes
	}
	for {
		_, err := unix.Kevent(p.kq, k[:], nil, nil)
		if err == unix.EINTR {
			continue
		}
		return os.NewSyscallError("kevent", err)
	}
}

func (p *poller) RegisterListener(fd int, t driver.Token) error {
	p.owners.set(fd, t)
	// Connections inherit it. Unix sockets have no such option.
	socket.SetOption(fd, driver.NoDelay, 1)
	p.listeners.Add(fd, t)
	return p.control(fd, change{readable, true})
}

func (p *poller) SetAccepting(fd int, t driver.Token, accept bool) error {
	err := p.control(fd, change{readable, accept})
	if !accept && errors.Is(err, unix.ENOENT) { // it is paused already
		return nil
	}
	return err
}

func (p *poller) Register(fd int, t driver.Token, i driver.Interest) error {
	p.owners.set(fd, t)
	return p.change(fd, 0, registered(i))
}

func (p *poller) SetInterest(fd int, _ driver.Token, from, to driver.Interest) error {
	return p.change(fd, registered(from), registered(to))
}

func (p *poller) change(fd int, from, to registrations) error {
	list, n := changes(from, to)
	for _, c := range list[:n] {
		if err := p.control(fd, c); err != nil {
			return err
		}
	}
	return nil
}

// read is recv(2) that does not block, even if somebody has cleared O_NONBLOCK, which a socket's
// descriptors share.
func (p *poller) read(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
		if err == nil {
			return n, 0
		}
		if err != unix.EINTR {
			return 0, socket.Errno(err)
		}
	}
}

func (p *poller) Accept(t driver.Token, s driver.Sink) { accept(t, s, p) }

func (p *poller) accept(t driver.Token) (int, syscall.Errno) { return p.listeners.Accept(t) }

// CloseListener leaves owners to the loop. An event that is still there finds no listener.
func (p *poller) CloseListener(fd int, t driver.Token) {
	p.listeners.Remove(t, func() { unix.Close(fd) })
}

// Close closes fd, which takes it off the kernel's list: kqueue(2) knows descriptors. That another
// descriptor of the same socket stays open makes no difference.
func (p *poller) Close(fd int, reset bool) {
	p.owners.set(fd, 0)
	socket.Close(fd, reset)
}

func (p *poller) Unregister(fd int, i driver.Interest) {
	p.change(fd, registered(i), 0)
	p.owners.set(fd, 0)
}

func (p *poller) Shut() {
	p.mu.Lock()
	if p.wakeIn >= 0 {
		unix.Close(p.wakeIn)
		unix.Close(p.wakeOut)
	}
	p.wakeIn, p.wakeOut = -1, -1
	p.mu.Unlock()
	unix.Close(p.kq)
}
