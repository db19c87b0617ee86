package engine

import (
	"sync"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
	"github.com/myriadnet/myriad/engine/quota"
)

// tasksTurn is how many posted tasks a loop runs in a turn.
const tasksTurn = 256

// tasks are what other goroutines ask the loop to do. Only the loop uses unfinished.
type tasks struct {
	queue      taskqueue.Queue[task]
	unfinished *taskqueue.Node[task] // of Each, interrupted by a panic
	bytes      atomic.Int64          // in tasks that did not run yet
}

type taskOp uint8

const (
	sendTask   taskOp = iota // conn.Write(buf)
	postTask                 // post(conn)
	bytesTask                // conn's Protocol.Posted(kind, buf)
	closeTask                // conn.Close()
	eachTask                 // each(conn) for all of conns
	runTask                  // run()
	adoptTask                // adopt descriptor fd of listener, from which buf was read
	dialTask                 // dial.begin()
	packetTask               // packets.WriteTo(buf, peer)
)

// task is something that another goroutine asks a loop to do. Tasks are pooled, with the memory of
// buf and conns.
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

	client *quota.Client // as counted by listener

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

// keptTask is the size of the largest buffer that stays with a pooled task.
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

// do calls f on the loop.
func (l *loop) do(f func()) error {
	n := newTask(runTask)
	n.Value.run = f
	return l.push(n)
}

// push gives the loop a task, from any goroutine, and wakes the loop if it sleeps.
func (l *loop) push(n *taskqueue.Node[task]) error {
	wake, ok := l.tasks.queue.Push(n)
	if !ok {
		freeTask(n)
		return ErrClosed
	}
	if wake {
		l.poller.Wake()
	}
	return nil
}

// pushBytes is push for a task with a copy of b. The bytes that wait for the loop are limited.
func (l *loop) pushBytes(n *taskqueue.Node[task], b []byte) error {
	size := int64(len(b))
	// A single task may be larger.
	if now := l.tasks.bytes.Add(size); now > int64(l.config.MaxPosted) && now > size {
		l.tasks.bytes.Add(-int64(len(b)))
		freeTask(n)
		return ErrBusy
	}
	n.Value.buf = append(n.Value.buf[:0], b...)
	if err := l.push(n); err != nil {
		l.tasks.bytes.Add(-int64(len(b)))
		return err
	}
	return nil
}

// runTasks runs posted tasks, as many as a turn may have. The rest waits until I/O has had its
// turn.
func (l *loop) runTasks() {
	for budget := tasksTurn; budget > 0; budget-- {
		n := l.tasks.unfinished
		l.tasks.unfinished = nil
		if n == nil {
			n = l.tasks.queue.Pop()
		}
		if n == nil {
			return
		}
		t := &n.Value
		switch t.op {
		case sendTask: // calls no user code: the connection is settled when the turn ends
			l.tasks.bytes.Add(-int64(len(t.buf)))
			t.conn.Write(t.buf)
		case closeTask:
			t.conn.Close()
		case postTask:
			l.call(t.conn, t.post)
		case bytesTask:
			l.tasks.bytes.Add(-int64(len(t.buf)))
			if c := t.conn; c.state != closed && c.abilities&hasPosted != 0 {
				l.enter(c)
				c.proto.(PostReceiver).Posted(t.kind, t.buf)
				l.exitAndSettle(c)
			}
		case eachTask:
			budget -= len(t.conns)
			l.tasks.unfinished = n // a panic for one connection must not skip the others
			for len(t.conns) > 0 {
				last := len(t.conns) - 1
				c := t.conns[last]
				t.conns = t.conns[:last]
				l.call(c, t.each)
			}
			l.tasks.unfinished = nil
		case runTask:
			l.enter(nil)
			t.run()
			l.exitAndSettle(nil)
		case adoptTask:
			l.adopt(t.fd, t.listener, t.client, t.buf)
		case dialTask:
			l.enter(nil)
			t.dial.begin()
			l.exitAndSettle(nil)
		case packetTask:
			l.tasks.bytes.Add(-int64(len(t.buf)))
			// An error means that the socket is closing, or that its peer is flooded.
			t.packets.WriteTo(t.buf, t.peer)
		}
		freeTask(n)
	}
}

// call calls f for c, unless c is closed.
func (l *loop) call(c *Conn, f func(*Conn)) {
	if c.state != closed {
		l.enter(c)
		f(c)
		l.exitAndSettle(c)
	}
}
