package engine

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

// This file has the old process's part of a handover that happens on a loop. Connections are
// frozen, up to batchMax, and given to the new process together. Until it is known who has them
// they are not in the poller, nothing is read or written, no timer of theirs fires, and tasks for
// them wait. What code of other connections writes to them is queued.
//
//	open --freeze--> frozen --thaw----> open           the new process does not have it
//	                        --handed--> ended, closed  it does
//
// Connections that cannot move are looked at again until the patience is over.

const (
	batchMax   = 128     // connections in a batch
	looksTurn  = 256     // connections that are looked at in a turn: most may not be able to move
	batchBytes = 1 << 20 // of states, above which a batch is not made any larger
	stateMax   = handover.MaxState - batchBytes
)

// handoverLeast is how long any turn saves, loads or closes connections for a handover, whatever
// came before: see turnTime. What user code does for each of them may take much longer than usual.
const handoverLeast = 500 * time.Microsecond

// handoverTime is handoverLeast for the turn that has come to its handover step at begun, or a
// quarter of the time before that. A loop that is overloaded has long turns, and connections that
// nobody serves meanwhile would wait for many of them.
func (l *loop) handoverTime(begun time.Duration) time.Duration {
	return max(handoverLeast, (begun-l.now+l.polling.delivered)/4)
}

// lookAgainAt is how long a loop waits before it looks again at connections that could not move.
const lookAgainAt = 20 * time.Millisecond

// departing is what a loop does for a handover to another process.
type departing struct {
	to     *giving
	left   []*Conn    // to be frozen
	batch  *departure // which is being made; nil: none
	posted *departure // on its way; nil: none
	known  []*departure
	waits  []*taskqueue.Node[task] // for frozen connections

	deadline  time.Duration    // when the patience is over
	looking   bool             // left is valid; otherwise again is set, or reported is
	again     *Timer           // nil: it has fired
	reported  bool             // the loop has nothing more to give
	aborted   bool             // nothing more is to be given
	obstacles map[obstacle]int // in this pass
	panics    int              // of Save, in this pass
	spare     *departure       // for the next batch; nil: none
}

// departure is a batch.
type departure struct {
	handover.Batch
	conns  []*Conn
	given  []int // of conns: bytes of c.out that are in the state
	ends   map[*Conn]lateEnd
	state  []byte
	ranges []int // the ends of conns' states in state
	next   int   // conns[:next] are thawed or handed
}

// lateEnd is the end of a connection that was asked for while it was frozen.
type lateEnd struct {
	reason error
	close  bool // by CloseWith, and not by end
}

func newDeparture() *departure {
	return &departure{conns: make([]*Conn, 0, batchMax), given: make([]int, 0, batchMax),
		ranges: make([]int, 0, batchMax), Batch: handover.Batch{Items: make([]handover.Item, 0, batchMax)}}
}

// forget wipes the states and leaves an empty batch with the same memory.
func (b *departure) forget() {
	clear(b.state)
	clear(b.conns)
	*b = departure{state: b.state[:0], conns: b.conns[:0], given: b.given[:0], ranges: b.ranges[:0],
		Batch: handover.Batch{Items: b.Items[:0]}}
}

// busy reports whether the loop has something to do at once.
func (d *departing) busy() bool {
	return len(d.known) > 0 || d.posted == nil && (d.looking || d.aborted)
}

// deferTask keeps a task until the connection is not frozen any more.
func (d *departing) deferTask(n *taskqueue.Node[task]) { d.waits = append(d.waits, n) }

// depart begins to give the loop's connections to another process.
func (l *loop) depart(to *giving, patience time.Duration) {
	if l.leaving || to.over.Load() {
		to.finished(nil, nil)
		to.home()
		return
	}
	l.departing = &departing{to: to, deadline: l.now + patience}
	l.departing.look(l)
}

// look lists the connections for another pass.
func (d *departing) look(l *loop) {
	d.looking, d.obstacles = true, make(map[obstacle]int)
	d.left = slices.AppendSeq(slices.Grow(d.left[:0], l.conns.Len()), l.conns.All())
}

// continueDeparture takes the next steps. It is called in every turn of a handover. Each connection
// is off its list before user code is called for it: see loop.
func (l *loop) continueDeparture() {
	d := l.departing
	begun := l.poller.Now() - l.yielding.away
	least := l.handoverTime(begun)
	for len(d.known) > 0 {
		if !l.conclude(d.known[0], begun, least) {
			return
		}
		d.known = slices.Delete(d.known, 0, 1)
	}
	if d.aborted {
		l.stayHome()
		return
	}
	if d.posted != nil || !d.looking {
		return
	}
	if d.batch == nil {
		d.batch, d.spare = d.spare, nil
	}
	if d.batch == nil {
		d.batch = newDeparture()
	}
	b := d.batch
	for looks := looksTurn; looks > 0 && len(d.left) > 0 && !b.isFull(); looks-- {
		last := len(d.left) - 1
		c := d.left[last]
		d.left[last] = nil
		d.left = d.left[:last]
		if o, ok := l.freeze(c, b); !ok {
			d.obstacles[o]++
			if c.flags&touched != 0 && c.state != closed { // by Save
				c.mark()
			}
		}
		l.spend(4 * eventWork)
		if l.tookLong(begun, least) && len(d.left) > 0 && !b.isFull() {
			if least > handoverLeast {
				break // those that are frozen should not wait for another such turn
			}
			return // the next turn goes on with the batch
		}
	}
	if len(b.conns) > 0 {
		l.post(b)
		return
	}
	if len(d.left) > 0 {
		return
	}
	d.looking, d.batch = false, nil
	l.passEnded()
}

func (b *departure) isFull() bool { return len(b.conns) == batchMax || len(b.state) >= batchBytes }

// post gives the batch to the other process.
func (l *loop) post(b *departure) {
	d := l.departing
	b.Stream, b.Data = uint32(l.index), b
	begin := 0
	for i, c := range b.conns {
		b.Items = append(b.Items, handover.Item{FD: int(c.fd), State: b.state[begin:b.ranges[i]]})
		begin = b.ranges[i]
	}
	d.batch, d.posted = nil, b
	if err := d.to.giver.Post(&b.Batch); err != nil { // it is over: Settled is not called
		d.posted = nil
		b.Err = err
		d.known = append(d.known, b)
		d.aborted = true
	}
}

// passEnded looks again at what could not move, unless that would be in vain or the patience is
// over.
func (l *loop) passEnded() {
	d := l.departing
	if d.panics > 0 {
		d.obstacles[obstaclePanic] += d.panics
		d.panics = 0
	}
	all, final := 0, 0
	for o, n := range d.obstacles {
		all += n
		if o.isFinal() {
			final += n
		}
	}
	isHope := l.now < d.deadline &&
		(all > final || l.conns.Len() > all || len(l.dials) > 0 || d.to.awaitsOthers())
	if isHope || l.awaitsOthers() {
		d.lookLater(l)
		return
	}
	if !d.reported {
		d.reported = true
		d.to.finished(l, d.obstacles)
	}
}

func (d *departing) lookLater(l *loop) {
	d.again = l.afterFunc(lookAgainAt, func() {
		d.again = nil
		d.look(l)
	})
}

// comes is called when a connection has come to a loop that may have nothing more to give: from
// another loop, by Adopt or by Dial. While others have, it moves, too.
func (d *departing) comes(l *loop) {
	if d.reported && !d.aborted && l.now < d.deadline && d.to.resume(l, d.obstacles) {
		d.reported = false
		d.lookLater(l)
	}
}

// awaitsOthers reports whether connections are on their way to the loop, which counts them already.
// It counts those of dials as well, one each, however many attempts a dial has: none in a look-up.
func (l *loop) awaitsOthers() bool {
	known := len(l.dials)
	for c := range l.conns.All() {
		if c.flags&connecting == 0 {
			known++
		}
	}
	return int(l.load.Load()) > known
}
