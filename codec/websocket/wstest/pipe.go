package wstest

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// NetPipe returns both ends of a connection in memory. Unlike those of net.Pipe, they have a buffer
// of 64 KiB for each direction, so that both may write at the same time, and a method CloseWrite. A
// Read never returns bytes of more than one Write. Deadlines work. In a bubble of testing/synctest,
// an end that waits is durably blocked.
func NetPipe() (a, b net.Conn) {
	ab, ba := newFlow(), newFlow()
	return &end{in: ba, out: ab}, &end{in: ab, out: ba}
}

// flowLimit is how many bytes may be under way in one direction of a NetPipe.
const flowLimit = 64 << 10

// flow is one direction.
type flow struct {
	mu      sync.Mutex
	changed *sync.Cond
	writes  [][]byte // those that were not read
	size    int      // of all writes
	ended   bool     // by the writer: what was written can still be read
	cut     bool     // by the reader

	readBy, writeBy deadline
}

func newFlow() *flow {
	f := new(flow)
	f.changed = sync.NewCond(&f.mu)
	return f
}

// deadline is when a call stops waiting. The zero value is never.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set sets one of the deadlines of f.
func (f *flow) set(d *deadline, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at, d.timer = t, nil
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, f.wake)
	}
	f.changed.Broadcast()
}

// wake wakes those that wait. It takes mu, so that a call that has just found that its deadline has
// not passed is waiting by then.
func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed.Broadcast()
}

// stop ends the flow: which is f.ended for the writer and f.cut for the reader.
func (f *flow) stop(which *bool) {
	f.mu.Lock()
	*which = true
	f.mu.Unlock()
	f.changed.Broadcast()
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.cut:
			return 0, net.ErrClosed
		case f.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case f.size > 0:
			n := copy(p, f.writes[0])
			if f.writes[0] = f.writes[0][n:]; len(f.writes[0]) == 0 {
				f.writes = f.writes[1:]
			}
			f.size -= n
			f.changed.Broadcast()
			return n, nil
		case f.ended:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		f.changed.Wait()
	}
}

func (f *flow) write(p []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.ended:
			return n, net.ErrClosed
		case f.cut:
			return n, io.ErrClosedPipe
		case f.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		case f.size < flowLimit:
			k := min(len(p)-n, flowLimit-f.size)
			f.writes = append(f.writes, append([]byte(nil), p[n:n+k]...))
			f.size += k
			n += k
			f.changed.Broadcast()
			continue
		}
		f.changed.Wait()
	}
}

// end is an end of a NetPipe.
type end struct{ in, out *flow }

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }

// CloseWrite makes the other end read io.EOF after what was written.
func (e *end) CloseWrite() error {
	e.out.stop(&e.out.ended)
	return nil
}

func (e *end) Close() error {
	e.out.stop(&e.out.ended)
	e.in.stop(&e.in.cut)
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.in.set(&e.in.readBy, t)
	e.out.set(&e.out.writeBy, t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.set(&e.in.readBy, t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.set(&e.out.writeBy, t)
	return nil
}

func (e *end) LocalAddr() net.Addr  { return memory{} }
func (e *end) RemoteAddr() net.Addr { return memory{} }

// memory is the address of both ends of every NetPipe.
type memory struct{}

func (memory) Network() string { return "pipe" }
func (memory) String() string  { return "memory" }

// PipeListener is a net.Listener in memory, for example for http.Server.Serve. Its DialContext
// connects to it whatever the address is. wsconn.Config and http.Transport have a field for that
// function.
type PipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// NewPipeListener returns a new PipeListener.
func NewPipeListener() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a call of DialContext, and returns the other end of the connection.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close makes Accept and DialContext fail.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns an address without meaning.
func (l *PipeListener) Addr() net.Addr { return memory{} }

// DialContext waits for a call of Accept, and returns the other end of the connection.
func (l *PipeListener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := NetPipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
