package engine

import (
	"sync"
	"unsafe"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// taskCost is the memory of a task without buf and conns, in bytes.
const taskCost = int(unsafe.Sizeof(taskqueue.Node[task]{}))

// connsCost is the memory of conns with room for eachTaskMax: its size class, with a header.
const connsCost = 2304

// closureCost is about the memory of a function that is posted, with what it refers to. What that
// is, nobody can tell.
const closureCost = 64

// bufSizes are the sizes of the buffers that stay with pooled tasks.
var bufSizes = [...]int{0, 256, 2 << 10, 16 << 10}

// eachPool is the index in taskPools of those of Each.
const eachPool = len(bufSizes)

// taskPools has a pool for each size of buffer, and one for tasks with conns. A small task never
// has a large buffer, so what it costs depends on what it is for, and not on what it was last.
var taskPools [eachPool + 1]sync.Pool

func pooledTask(k taskOp, pool int) *taskqueue.Node[task] {
	n, ok := taskPools[pool].Get().(*taskqueue.Node[task])
	if !ok {
		n = new(taskqueue.Node[task])
	}
	n.Value.op, n.Value.pool = k, uint8(pool)
	return n
}

// newTaskFor returns a task with room for size bytes in buf.
func newTaskFor(k taskOp, size int) *taskqueue.Node[task] {
	pool := 0
	for pool < len(bufSizes) && bufSizes[pool] < size {
		pool++
	}
	if pool == len(bufSizes) { // too large to stay with the task
		n := pooledTask(k, 0)
		n.Value.buf = make([]byte, 0, size)
		return n
	}
	n := pooledTask(k, pool)
	if size > cap(n.Value.buf) {
		n.Value.buf = make([]byte, 0, bufSizes[pool])
	}
	return n
}

// newEachTask returns a task with room for eachTaskMax connections.
func newEachTask() *taskqueue.Node[task] {
	n := pooledTask(eachTask, eachPool)
	if n.Value.conns == nil {
		n.Value.conns = make([]*Conn, 0, eachTaskMax)
	}
	return n
}

func freeTask(n *taskqueue.Node[task]) {
	pool, buf, conns := n.Value.pool, n.Value.buf[:0], n.Value.conns
	clear(conns)
	if pool == 0 {
		buf = nil
	}
	n.Value = task{buf: buf, conns: conns[:0]}
	taskPools[pool].Put(n)
}

// charge counts a task that was not pushed yet, with more bytes that it keeps in memory. If
// limited, it is an error if too much waits for the loop already; then the task is freed. A single
// task may be larger than the limit.
func (l *loop) charge(n *taskqueue.Node[task], more int, limited bool) error {
	t := &n.Value
	t.cost = taskCost + cap(t.buf) + more
	if t.conns != nil {
		t.cost += connsCost
	}
	size := int64(t.cost)
	if now := l.tasks.bytes.Add(size); limited && now > int64(l.config.MaxPosted) && now > size {
		l.tasks.bytes.Add(-size)
		freeTask(n)
		return ErrBusy
	}
	return nil
}

// busy reports whether too much waits for the loop for another task, whatever its size. It spares a
// copy that would be in vain.
func (l *loop) busy() bool { return l.tasks.bytes.Load() > int64(l.config.MaxPosted) }

// credit counts the tasks that have run since the last call.
func (l *loop) credit() {
	if n := l.tasks.ran; n > 0 {
		l.tasks.ran = 0
		l.tasks.bytes.Add(int64(-n))
	}
}
