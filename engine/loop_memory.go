package engine

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// inputSize is the size of the buffer that a loop reads into. Common message sizes are powers of
// two, plus a header.
const inputSize = 260 << 10

// memory is the buffers that a loop's connections share, and the loop's part of the account that
// Config.MaxBuffered limits.
//
// What peers make the loop hold is counted as it changes, in fields that only the loop uses. Their
// sum is published when a turn ends, or earlier if it has grown much. See
// docs/decisions/0013-budget.md.
type memory struct {
	pool    buffer.Pool
	held    int      // what Protocols, sessions and datagram sockets hold
	input   []byte   // what drivers read into
	scratch []byte   // for AvailableBuffer of a connection whose queue has no place for it
	vector  [][]byte // for writev; cleared after use

	published int          // the sum that Engine.buffered includes
	slack     int          // how much more may be held before the turn ends
	visible   atomic.Int64 // published, for other loops to read
	relieving atomic.Bool  // relieve is to run
	share     int          // the loop's part of Config.MaxBuffered
	sweeping  bool         // chunks of connections that are closed are left to Pool.Sweep
	out       int          // Pool.Out when the last turn ended
	taken     int          // the same of all
	hand      uint32       // the slot where relieve goes on
}

// sweepTurn is how many chunks of closed connections a turn puts back at least: about 100 us of
// work.
const sweepTurn = 1024

// sweep puts back chunks of closed connections: so many that no more are out than before the turn.
// What it leaves does not count for Config.MaxBuffered, and must not grow from turn to turn.
func (m *memory) sweep() {
	m.pool.Sweep(max(sweepTurn, m.pool.Out()-m.out))
	m.sweepGrowth()
	m.sweeping = m.pool.Littered() > 0
	m.out, m.taken = m.pool.Out(), m.all()
}

// sweepGrowth puts back chunks of closed connections until all that there is, with what does not
// count any more, is within the loop's part of Config.MaxBuffered, or no more than before the turn.
// A few new chunks may be larger than thousands of old ones.
func (m *memory) sweepGrowth() {
	for m.pool.Littered() > 0 && m.all() > max(m.share, m.taken) {
		m.pool.Sweep(sweepTurn / 8)
	}
}

// all returns bytes with what closed connections have left.
func (m *memory) all() int { return m.bytes() + m.pool.Littered() }

// newMemory returns the buffers of a loop.
func newMemory(c *Config) memory {
	share := c.MaxBuffered / c.Loops
	if c.MaxBuffered < 0 {
		share = math.MaxInt
	}
	return memory{
		share:   share,
		input:   make([]byte, min(inputSize, max(c.TurnBytes, 2*smallRest))),
		scratch: make([]byte, buffer.Room),
		vector:  make([][]byte, driver.MaxIovecs),
		slack:   max(c.MaxBuffered/(16*c.Loops), buffer.CorkSize),
	}
}

// free drops the buffers when the loop has ended: a Handle that is kept keeps the loop.
func (m *memory) free() {
	m.pool, m.input, m.scratch, m.vector = buffer.Pool{}, nil, nil, nil
}

// bytes returns what the loop holds for its peers, without what is posted to it.
func (m *memory) bytes() int { return m.pool.Bytes() + m.pool.Shared() + m.held }

// posted returns what waits for the loop, without the tasks of this turn that have begun.
func (l *loop) posted() int { return int(l.tasks.bytes.Load()) - l.tasks.ran }

// buffered returns what counts for Config.MaxBuffered.
func (l *loop) buffered() int { return l.memory.bytes() + l.posted() }

// publish adds this loop's bytes to the engine's sum. If the sum exceeds Config.MaxBuffered, it
// makes the loops above their share reduce it.
func (l *loop) publish(n int) {
	e, most := l.engine, int64(l.config.MaxBuffered)
	total := e.buffered.Add(int64(n - l.memory.published))
	l.memory.published = n
	l.memory.visible.Store(int64(n))
	if most < 0 || total <= most || l.ended {
		return
	}
	for _, o := range e.loops {
		if o.overShare() && !o.memory.relieving.Swap(true) {
			if o != l {
				o.push(newTask(relieveTask)) // an error means that the loop has ended
			}
		}
	}
}

// checkMemory is called between two deliveries, also of bytes that were left unconsumed: a turn
// with many of them must not exceed the budget by far.
func (l *loop) checkMemory() {
	if l.memory.bytes() > l.memory.published+l.memory.slack {
		l.publishEarly()
	}
}

func (l *loop) publishEarly() {
	l.publish(l.buffered())
	if l.memory.relieving.Load() {
		l.relieveSome()
	}
}

// overShare reports whether l holds more than an equal part of Config.MaxBuffered. When the sum
// exceeds the limit, at least one loop does.
func (l *loop) overShare() bool {
	return l.memory.visible.Load() > int64(l.config.MaxBuffered/len(l.engine.loops))
}

// overBudget reports whether l has to reduce what it holds.
func (l *loop) overBudget() bool {
	return l.config.MaxBuffered >= 0 && l.engine.buffered.Load() > int64(l.config.MaxBuffered) && l.overShare()
}

// holder is a connection that relieve may close.
type holder struct {
	conn  *Conn
	bytes int
	score int64
}

// relieveScan is how many slots relieve looks at in a turn, to find connections to close, and
// relieveCloses how many of these it closes at most. A look takes 0.2 us and more, a close 20 to
// 30 us. If the time relieveTime has passed for either, a quarter of the slots is enough, and a
// sixteenth of the connections.
const (
	relieveScan   = 4096
	relieveCloses = 256
	relieveTime   = 250 * time.Microsecond
)

// relieve closes connections until the sum is below the limit, or this loop is below its share. It
// looks at a part of the connections and goes on in the next turn. It is a step of the turn, and
// not a task, since many tasks may wait: a task wakes another loop only.
//
// What this turn has freed is published first: without that, the loop would close whatever is left.
func (l *loop) relieve() {
	l.publish(l.buffered())
	l.memory.relieving.Store(false)
	if l.relieveSome() && l.overBudget() {
		l.memory.relieving.Store(true)
	}
}

// relieveSome closes those of the next connections that hold the most for the longest time. Only
// those are closed that hold at least half of what these connections hold on average. It reports
// whether there may be more to close.
func (l *loop) relieveSome() (more bool) {
	if !l.overBudget() {
		return false
	}
	late := l.poller.Now() + relieveTime
	sweeps := l.sweepSome(late)
	if ends := l.endSome(late); (sweeps || ends) && l.waitingSuffices() {
		return true
	}
	shared := l.memory.pool.Shared() > l.config.MaxBuffered/len(l.engine.loops)
	var found []holder
	sum, slots := 0, l.conns.Slots()
	looks := min(slots, relieveScan)
	for i := range looks {
		if i > 0 && i%(relieveScan/4) == 0 && l.poller.Now() > late {
			looks = i
			break
		}
		if l.memory.hand >= slots {
			l.memory.hand = 0
		}
		c := l.conns.At(l.memory.hand)
		l.memory.hand++
		if c == nil || c.state >= ended {
			continue
		}
		n := c.holds()
		if shared { // nothing else would help
			n += c.out.Len()
		}
		if sum += n; n > 0 {
			found = append(found, holder{c, n, int64(n) * int64(1+l.tick-c.movedAt())})
		}
	}
	if least := sum / 2 / max(1, int(looks)); !shared {
		found = slices.DeleteFunc(found, func(h holder) bool { return h.bytes < least })
	}
	slices.SortStableFunc(found, func(a, b holder) int { return cmp.Compare(b.score, a.score) })
	late = l.poller.Now() + relieveTime
	for i, h := range found {
		if i == relieveCloses || i > 0 && i%(relieveCloses/16) == 0 && l.poller.Now() > late || !l.overBudget() {
			return true
		}
		h.conn.end(&limitError{ErrBufferLimit, l.config.MaxBuffered})
		l.settle(h.conn)
		l.publish(l.buffered())
		if (l.sweepSome(late) || l.dirty.held > 0) && l.waitingSuffices() {
			return true
		}
	}
	return len(found) > 0 || slots > looks && l.memory.hand < slots
}

// sweepSome puts back what closed connections had until the sum is below the limit: their messages
// count until then, and no other connection may be closed for that. It reports whether more is left
// when it is late.
func (l *loop) sweepSome(late time.Duration) (more bool) {
	for l.memory.pool.Sweepable() > 0 && l.overBudget() {
		if l.poller.Now() > late {
			return true
		}
		l.memory.pool.Sweep(sweepTurn / 4)
		l.publish(l.buffered())
	}
	return false
}

// endSome closes connections that have ended, and wait for their turn to be closed, until the sum
// is below the limit. It reports whether more are left when it is late.
func (l *loop) endSome(late time.Duration) (more bool) {
	for l.dirty.held > 0 && l.overBudget() {
		if l.poller.Now() > late {
			return true
		}
		l.settle(l.nextEnd())
		l.publish(l.buffered())
	}
	return false
}

// endsPart is which part of the loop's share connections that wait for their end may hold over the
// limit, before others are closed.
const endsPart = 8

// waitingSuffices reports whether the sum may be below the limit once all is put back that closed
// connections had, and those are closed that have ended. Otherwise others must not go on growing
// meanwhile.
func (l *loop) waitingSuffices() bool {
	waiting := l.memory.pool.Sweepable() + min(l.dirty.held, l.memory.share/endsPart)
	return l.engine.buffered.Load()-int64(waiting) <= int64(l.config.MaxBuffered)
}

// holds returns what would be free if c were closed: shared messages would not.
func (c *Conn) holds() int {
	n := c.out.Size()
	if c.in != nil {
		n += buffer.ChunkCost + c.in.Cap()
	}
	if h, ok := c.proto.(Holder); ok {
		c.loop.enter(c)
		n += h.Held()
		c.loop.exit()
	}
	if c.flags&proxied != 0 {
		n += len(c.loop.headers.of(c))
	}
	if c.flags&layered != 0 {
		n += c.loop.layers.all.At(c.slot).stream.Held()
	}
	return n
}

// movedAt returns when the peer last took something of what waits for it, or sent something.
func (c *Conn) movedAt() wheel.Tick {
	if c.flags&blocked != 0 && !c.out.Empty() {
		if w := c.out.Wait(); w.Since != 0 {
			return min(wheel.Tick(w.Since), c.loop.tick)
		}
	}
	if before(c.loop.tick, c.times.active) { // ticks may be less than 0: see restore
		return c.loop.tick
	}
	return c.times.active
}

// AddHeld adds n, which may be negative, to the bytes that the Protocol holds because of its peer:
// they count for Config.MaxBuffered, like the engine's own buffers. Count what a peer can make
// grow, such as a message that has not arrived whole, with what it costs besides its bytes. When
// Closed returns, the sum of all calls must be 0. A Protocol that calls AddHeld should be a Holder.
// AddHeld costs an addition.
func (c *Conn) AddHeld(n int) {
	c.loop.checkTurn()
	c.loop.memory.held += n
}
