package engine

import (
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
	"github.com/myriadnet/myriad/engine/quota"
)

// tasksTurn is how many posted tasks a loop runs in a turn.
const tasksTurn = 256

// taskWork is what a task counts for a look at the clock: many take more than an event.
const taskWork = 4 * eventWork

// tasksLeast is how long any turn runs posted tasks, if so many wait, whatever came before them:
// see turnTime.
const tasksLeast = 150 * time.Microsecond

// tasks are what other goroutines ask the loop to do. Only the loop uses unfinished, ran and begun.
type tasks struct {
	queue      taskqueue.Queue[task]
	unfinished *taskqueue.Node[task]   // of Each, interrupted by a panic
	thawed     []*taskqueue.Node[task] // they have waited for a frozen connection, and are next
	bytes      atomic.Int64            // what tasks cost that did not run yet
	ran        int                     // of bytes, of tasks that have run
	begun      time.Duration           // when the turn began to run them, less yielding.away
}

type taskOp uint8

const (
	sendTask    taskOp = iota // conn.Write(buf)
	postTask                  // post(conn)
	bytesTask                 // conn's Protocol.Posted(kind, buf)
	closeTask                 // conn.Close()
	eachTask                  // each(conn) for all of conns
	runTask                   // run()
	turnTask                  // run(), the last one of its turn
	relieveTask               // nothing: the loop is awake, and relieves
	adoptTask                 // adopt descriptor fd of listener, from which buf was read
	dialTask                  // dial.begin()
	packetTask                // packets.WriteTo(buf, peer)
)

// task is something that another goroutine asks a loop to do. Tasks are pooled, with the memory of
// buf and conns: see taskPools.
type task struct {
	op       taskOp
	pool     uint8 // of taskPools
	conn     *Conn
	post     func(*Conn)
	run      func()
	cost     int // as counted by charge
	buf      []byte
	kind     uint32
	fd       int
	listener *Listener
	layer    *adoptedLayer // nil: none
	dial     *dialing

	client *quota.Client // as counted by listener

	packets *PacketConn
	peer    PacketAddr

	each  func(*Conn)
	conns []*Conn
}

// newTask returns a task without buffers.
func newTask(k taskOp) *taskqueue.Node[task] { return newTaskFor(k, 0) }

// do calls f on the loop.
func (l *loop) do(f func()) error { return l.doAs(runTask, f) }

func (l *loop) doAs(k taskOp, f func()) error {
	n := newTask(k)
	n.Value.run = f
	return l.push(n)
}

// push gives the loop a task, from any goroutine, and wakes the loop if it sleeps. It counts the
// task, and limits nothing: functions, closes and connections must reach a loop that is busy.
func (l *loop) push(n *taskqueue.Node[task]) error {
	l.charge(n, closureCost, false)
	return l.pushCharged(n)
}

// pushCharged is push for a task that charge has counted.
func (l *loop) pushCharged(n *taskqueue.Node[task]) error {
	cost := int64(n.Value.cost) // the task is the loop's as soon as it is pushed
	wake, ok := l.tasks.queue.Push(n)
	if !ok {
		l.tasks.bytes.Add(-cost)
		freeTask(n)
		return ErrClosed
	}
	if wake {
		l.poller.Wake()
	}
	return nil
}

// pushBytes is push for a task of newTaskFor with a copy of b. What waits for the loop is limited.
func (l *loop) pushBytes(n *taskqueue.Node[task], b []byte) error {
	if l.busy() {
		freeTask(n)
		return ErrBusy
	}
	n.Value.buf = append(n.Value.buf, b...)
	if err := l.charge(n, 0, true); err != nil {
		return err
	}
	return l.pushCharged(n)
}

// runTasks runs posted tasks, as many as a turn may have. The rest waits until I/O has had its
// turn.
func (l *loop) runTasks() {
	l.credit() // a panic may have kept it from the end
	if l.tasks.unfinished == nil && l.tasks.queue.Empty() && len(l.tasks.thawed) == 0 {
		return
	}
	l.tasks.begun = l.poller.Now() - l.yielding.away
	for budget := tasksTurn; budget > 0 && !l.tasksTookLong(); budget-- {
		n := l.tasks.next()
		if n == nil {
			break
		}
		t := &n.Value
		if t.conn != nil && l.defers(t.conn) {
			l.departing.deferTask(n) // it still counts for MaxPosted
			continue
		}
		cost := t.cost
		l.tasks.ran += cost
		t.cost = 0 // it may be unfinished
		switch t.op {
		case sendTask: // calls no user code: the connection is settled when the turn ends
			t.conn.Write(t.buf)
		case closeTask:
			t.conn.Close()
		case postTask:
			l.call(t.conn, t.post)
		case bytesTask:
			if c := t.conn; c.state != closed && c.abilities&hasPosted != 0 {
				l.enter(c)
				c.proto.(PostReceiver).Posted(t.kind, t.buf)
				l.exitAndSettle(c)
			}
		case eachTask:
			budget -= len(t.conns)
			l.tasks.unfinished = n // a panic for one connection must not skip the others
			if !l.runEach(t, cost) {
				continue
			}
			l.tasks.unfinished = nil
		case turnTask:
			budget = 0
			fallthrough
		case runTask:
			l.enter(nil)
			t.run()
			l.exitAndSettle(nil)
		case relieveTask: // it has woken the loop
		case adoptTask:
			l.adopt(t.fd, t.listener, t.client, t.buf, t.layer)
		case dialTask:
			l.enter(nil)
			t.dial.begin()
			l.exitAndSettle(nil)
		case packetTask:
			// An error means that the socket is closing, or that its peer is flooded.
			t.packets.WriteTo(t.buf, t.peer)
		}
		freeTask(n)
		l.spend(taskWork)
	}
	l.credit()
}

// next returns the next task, nil if there is none. Those that have waited for a frozen connection
// were begun before the one that is unfinished.
func (t *tasks) next() (n *taskqueue.Node[task]) {
	switch {
	case len(t.thawed) > 0:
		n = t.thawed[0]
		t.thawed[0] = nil
		if t.thawed = t.thawed[1:]; len(t.thawed) == 0 {
			t.thawed = nil
		}
	case t.unfinished != nil:
		n, t.unfinished = t.unfinished, nil
	default:
		n = t.queue.Pop()
	}
	return n
}

// runEach goes on with a task of Each, which has cost so much. It reports whether that is done.
// What waits for frozen connections costs what the task did.
func (l *loop) runEach(t *task, cost int) (done bool) {
	for len(t.conns) > 0 && !l.tasksTookLong() {
		last := len(t.conns) - 1
		c := t.conns[last]
		t.conns = t.conns[:last]
		if l.defers(c) {
			n := newTask(postTask)
			n.Value.conn, n.Value.post = c, t.each
			l.charge(n, closureCost+cost, false)
			l.departing.deferTask(n)
			cost = 0
		} else {
			l.call(c, t.each)
		}
		l.spend(eventWork)
	}
	if len(t.conns) > 0 && cost > 0 { // it goes on waiting
		t.cost = cost
		l.tasks.ran -= cost
		return false
	}
	return len(t.conns) == 0
}

// tasksTookLong reports whether tasks have taken their time of a turn. The task that begins a
// shutdown, or cuts it short, does not wait behind another poll, which would accept more
// connections. The last turn, which does not poll again, runs all tasks.
func (l *loop) tasksTookLong() bool {
	if !l.tookLong(l.tasks.begun, tasksLeast) || l.leaving {
		return false
	}
	return !l.engine.ending.Load() || l.stopping && (l.cutting || !l.engine.isCutting())
}

// call calls f for c, unless c is closed.
func (l *loop) call(c *Conn, f func(*Conn)) {
	if c.state != closed {
		l.enter(c)
		f(c)
		l.exitAndSettle(c)
	}
}
