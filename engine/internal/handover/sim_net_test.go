package handover

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// object is what a descriptor refers to: a connection or a listener.
type object int

// segment is what one Send has put into a queue.
type segment struct {
	data []byte
	fds  []object
}

// simQueue is one direction of a simulated unix socket.
type simQueue struct {
	segments []segment
	size     int
	limit    int
	readable bool // its reader has not closed or shut down
	writable bool
}

// errKilled is what unwinds a process that is killed within a system call.
var errKilled = errors.New("killed")

// simProcess is a process: its table of descriptors, and its end of the socket.
type simProcess struct {
	name    string
	rng     *rand.Rand
	alive   bool
	calls   int    // system calls begun or ended so far
	killAt  int    // the call at which it is killed; 0: never
	stopAt  int    // the call after which it stands still until the other one has ended; 0: never
	others  func() // what happens meanwhile
	table   map[int]object
	next    int
	in, out *simQueue
	closed  bool
	shut    bool
	woken   bool
	faults  simFaults
	sent    int // bytes
	errs    []error
}

// simFaults are the chances of faults, in percent.
type simFaults struct {
	partial, again, tooMany int
	corrupt                 int // the byte of all it sends which is changed; 0: none
}

func (p *simProcess) failf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(p.name+": "+format, args...))
}

func (p *simProcess) chance(percent int) bool { return p.rng.IntN(100) < percent }

// point is before and behind each system call. The process may be killed there, and the other one
// may do something.
func (p *simProcess) point() {
	p.calls++
	if p.chance(10) {
		p.others()
	}
	if p.calls == p.killAt {
		p.die()
		panic(errKilled)
	}
}

// die is kill -9: the kernel closes everything.
func (p *simProcess) die() {
	p.alive = false
	clear(p.table)
	p.hangUp()
}

func (p *simProcess) hangUp() {
	p.closed = true
	p.in.readable, p.out.writable = false, false
	p.in.segments, p.in.size = nil, 0
}

func (p *simProcess) open(o object) int {
	p.next += 1 + p.rng.IntN(3)
	p.table[p.next] = o
	return p.next
}

func (p *simProcess) close(fd int) {
	if _, ok := p.table[fd]; !ok {
		p.failf("closes [%d], which is not open", fd)
	}
	delete(p.table, fd)
}

// simEnd is a process's end of the socket, a Waiter whose Wait is never called.
type simEnd struct{ *simProcess }

func (e simEnd) Send(b []byte, fds []int) (int, error) {
	e.point()
	n, err := e.send(b, fds)
	e.point()
	return n, err
}

func (e simEnd) send(b []byte, fds []int) (int, error) {
	if len(b) == 0 || len(fds) > MaxDescriptors {
		e.failf("sends [%d] bytes and [%d] descriptors", len(b), len(fds))
	}
	if e.closed || !e.out.writable || !e.out.readable {
		return 0, ErrClosed
	}
	room := e.out.limit - e.out.size
	if room <= 0 || e.chance(e.faults.again) {
		return 0, ErrWouldBlock
	}
	if len(fds) > 0 && e.chance(e.faults.tooMany) {
		return 0, ErrTooManyRefs
	}
	n := min(len(b), room)
	if e.chance(e.faults.partial) {
		n = 1 + e.rng.IntN(n)
	}
	s := segment{data: append([]byte(nil), b[:n]...)}
	for _, fd := range fds {
		o, ok := e.table[fd]
		if !ok {
			e.failf("sends [%d], which is not open", fd)
		}
		s.fds = append(s.fds, o)
	}
	if at := e.faults.corrupt - 1; at >= e.sent && at < e.sent+n {
		s.data[at-e.sent] ^= 1 << e.rng.IntN(8)
	}
	e.sent += n
	e.out.segments = append(e.out.segments, s)
	e.out.size += n
	return n, nil
}

func (e simEnd) Receive(b []byte, fds []int) (int, []int, error) {
	e.point()
	n, fds, err := e.receive(b, fds)
	e.point()
	return n, fds, err
}

// receive is as on Linux: bytes without descriptors may come in front of those that have some, but
// nothing comes behind them.
func (e simEnd) receive(b []byte, fds []int) (int, []int, error) {
	if e.closed {
		e.failf("receives from a closed socket")
		return 0, fds, ErrClosed
	}
	if len(e.in.segments) == 0 {
		if e.shut || !e.in.writable {
			return 0, fds, io.EOF
		}
		return 0, fds, ErrWouldBlock
	}
	if e.chance(e.faults.partial) {
		b = b[:1+e.rng.IntN(min(len(b), 100))]
	}
	total := 0
	for len(e.in.segments) > 0 && total < len(b) {
		s := &e.in.segments[0]
		n := copy(b[total:], s.data)
		total += n
		e.in.size -= n
		got := s.fds
		for _, o := range got {
			fds = append(fds, e.open(o))
		}
		s.data, s.fds = s.data[n:], nil
		if len(s.data) == 0 {
			e.in.segments = e.in.segments[1:]
		}
		if len(got) > 0 || e.chance(10) {
			break
		}
	}
	return total, fds, nil
}

func (e simEnd) Shutdown() {
	e.point()
	e.shut = true
	e.in.readable, e.out.writable = false, false
	e.point()
}

func (e simEnd) Close() {
	e.point()
	if e.closed {
		e.failf("closes its socket twice")
	}
	e.hangUp()
	e.point()
}

func (e simEnd) CloseDescriptor(fd int) {
	e.point()
	e.close(fd)
	e.point()
}

func (e simEnd) Wake() { e.woken = true }

func (e simEnd) Wait(bool, time.Duration) error { panic("Wait is for Run") }

var _ Waiter = simEnd{}

// ready reports whether the process has something to do, by its plan.
func (e simEnd) ready(p plan) bool {
	if e.woken || len(e.in.segments) > 0 || !e.in.writable {
		return true
	}
	return p.write && (e.out.size < e.out.limit || !e.out.readable)
}
