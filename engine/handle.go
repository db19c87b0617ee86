package engine

import (
	"sync"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// Handle names a connection for other goroutines. It is 8 bytes, comparable, and may be copied, kept and used from any
// goroutine for as long as one likes: when the connection is closed its methods return ErrClosed, and they never reach
// another connection. A handle that is kept keeps 112 bytes of a closed connection in memory.
//
// What one goroutine asks for through handles of one loop is done in that order. The zero Handle is a closed one.
type Handle struct{ c *Conn }

// Send has b written to the connection; b is copied before Send returns. The error is ErrClosed if the connection was
// closed already, ErrBusy if too much waits for its loop; nil says that the loop will Write it, which is in vain if the
// connection closes before.
func (h Handle) Send(b []byte) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(sendTask)
	n.Value.conn = h.c
	return h.c.loop.pushBytes(n, b)
}

// Post has f called on the connection's loop. If the connection is closed by then, f is not called.
func (h Handle) Post(f func(*Conn)) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(postTask)
	n.Value.conn = h.c
	n.Value.post = f
	return h.c.loop.push(n)
}

// PostBytes has b given to the Posted method of the connection's Protocol, on its loop, together with kind, which means
// what the two of them agree on. It is Post without a closure to allocate; b is copied before PostBytes returns. A
// Protocol without that method drops it.
func (h Handle) PostBytes(kind uint32, b []byte) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(bytesTask)
	n.Value.conn = h.c
	n.Value.kind = kind
	return h.c.loop.pushBytes(n, b)
}

// Close has the connection closed in order, behind what was sent before: see Conn.Close.
func (h Handle) Close() error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(closeTask)
	n.Value.conn = h.c
	return h.c.loop.push(n)
}

// Closed says whether the connection is closed. False may be outdated when it is returned.
func (h Handle) Closed() bool { return h.c == nil || h.c.closed.Load() }

// Loop is the number of the connection's loop, as Conn.Loop; -1 for the zero Handle.
func (h Handle) Loop() int {
	if h.c == nil {
		return -1
	}
	return h.c.loop.index
}

type taskOp uint8

const (
	sendTask   taskOp = iota // conn.Write(buf)
	postTask                 // post(conn)
	bytesTask                // conn's Protocol.Posted(kind, buf)
	closeTask                // conn.Close()
	eachTask                 // each(conn) for all of conns
	runTask                  // run()
	adoptTask                // take over descriptor fd of listener from, of which buf was read
	dialTask                 // dial.connect()
	packetTask               // packets.WriteTo(buf, peer)
)

// task is what another goroutine asks of a loop. Tasks are pooled, with the memory of buf.
type task struct {
	op       taskOp
	conn     *Conn
	post     func(*Conn)
	run      func()
	buf      []byte
	kind     uint32
	fd       int
	listener *Listener
	dial     *dialing

	caller *caller // of from

	packets *PacketConn
	peer    PacketAddr

	each  func(*Conn)
	conns []*Conn
}

var taskPool = sync.Pool{New: func() any { return new(taskqueue.Node[task]) }}

func newTask(k taskOp) *taskqueue.Node[task] {
	n := taskPool.Get().(*taskqueue.Node[task])
	n.Value.op = k
	return n
}

// keptTask is the largest buffer that stays with a pooled task.
const keptTask = 16 << 10

func freeTask(n *taskqueue.Node[task]) {
	buf, conns := n.Value.buf[:0], n.Value.conns
	if cap(buf) > keptTask {
		buf = nil
	}
	clear(conns)
	n.Value = task{buf: buf, conns: conns[:0]}
	taskPool.Put(n)
}

// push hands a task to the loop, from any goroutine, and wakes it where it sleeps.
func (l *loop) push(n *taskqueue.Node[task]) error {
	wake, ok := l.tasks.Push(n)
	if !ok {
		freeTask(n)
		return ErrClosed
	}
	if wake {
		l.driver.Wake()
	}
	return nil
}

// pushBytes is push for a task with bytes, of which only so many may wait.
func (l *loop) pushBytes(n *taskqueue.Node[task], b []byte) error {
	size := int64(len(b))
	if now := l.posted.Add(size); now > int64(l.config.MaxPosted) && now > size { // a single one may be larger
		l.posted.Add(-int64(len(b)))
		freeTask(n)
		return ErrBusy
	}
	n.Value.buf = append(n.Value.buf[:0], b...)
	if err := l.push(n); err != nil {
		l.posted.Add(-int64(len(b)))
		return err
	}
	return nil
}

// runTasks runs what was posted, up to the turn's budget: the rest waits while I/O has its turn.
func (l *loop) runTasks() {
	for budget := tasksTurn; budget > 0; budget-- {
		n := l.unfinished
		if l.unfinished = nil; n == nil {
			n = l.tasks.Pop()
		}
		if n == nil {
			return
		}
		t := &n.Value
		switch t.op {
		case sendTask: // no user code runs: what Write finds is settled at the end of the turn
			l.posted.Add(-int64(len(t.buf)))
			t.conn.Write(t.buf)
		case closeTask:
			t.conn.Close()
		case postTask:
			l.call(t.conn, t.post)
		case bytesTask:
			l.posted.Add(-int64(len(t.buf)))
			if c := t.conn; c.state != closed && c.abilities&hasPosted != 0 {
				l.enter(c)
				c.proto.(PostReceiver).Posted(t.kind, t.buf)
				l.exitAndSettle(c)
			}
		case eachTask:
			budget -= len(t.conns)
			l.unfinished = n // a panic for one connection must not cost the others their call
			for len(t.conns) > 0 {
				last := len(t.conns) - 1
				c := t.conns[last]
				t.conns = t.conns[:last]
				l.call(c, t.each)
			}
			l.unfinished = nil
		case runTask:
			l.enter(nil)
			t.run()
			l.exitAndSettle(nil)
		case adoptTask:
			l.adopt(t.fd, t.listener, t.caller, t.buf)
		case dialTask:
			t.dial.connect()
		case packetTask:
			l.posted.Add(-int64(len(t.buf)))
			t.packets.WriteTo(t.buf, t.peer) // an error means closing, or is the price of a peer that is flooded
		}
		freeTask(n)
	}
}

// call calls f for c, unless c is closed by now.
func (l *loop) call(c *Conn, f func(*Conn)) {
	if c.state != closed {
		l.enter(c)
		f(c)
		l.exitAndSettle(c)
	}
}

// discardTask drops a task of a loop that has ended.
func (l *loop) discardTask() bool {
	n := l.tasks.Pop()
	if n == nil {
		return false
	}
	switch n.Value.op {
	case sendTask, bytesTask, packetTask:
		l.posted.Add(-int64(len(n.Value.buf)))
	case adoptTask:
		l.engine.backend.CloseFd(n.Value.fd)
		n.Value.listener.dismiss(n.Value.caller)
	}
	freeTask(n)
	return true
}
