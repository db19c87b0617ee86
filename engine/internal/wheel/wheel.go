package wheel

import (
	"math/bits"

	"github.com/myriadnet/myriad/engine/internal/paged"
)

// Tick is a point in time. Ticks wrap around: two that are compared must be less than 2^31 apart.
type Tick uint32

// ID names a timer. 0 names none.
type ID uint32

const (
	levels   = 4
	slotBits = 6
	slots    = 1 << slotBits
	heads    = levels * slots

	// Longest is how long a timer waits in one go. The wheel looks at a later one again on its way.
	Longest = 1<<(levels*slotBits) - 1

	// Moved is what Expire returns instead of a key when it has moved timers.
	Moved = 1<<32 - 1
)

// maxMoved is how many timers Expire moves in a call: a million take 20 ms. Tests change it.
var maxMoved = 1024

// Wheel is a timing wheel of four levels with 64 slots each. The zero value is an empty wheel at
// tick 0. It is for one goroutine.
//
// A timer that is due within 64 ticks is in the slot of level 0 for its tick. One that is due
// within 64^2 ticks is in the slot of level 1 for its tick divided by 64, and so on. When level 0
// has gone round, the next slot of level 1 is emptied into it, and so on upwards. That is done in
// parts, between which time stands still.
//
//	level 0: 64 slots of 1 tick      level 2: 64 slots of 4,096 ticks
//	level 1: 64 slots of 64 ticks    level 3: 64 slots of 262,144 ticks
//
// Timers are nodes of 16 bytes in an array without pointers. The first 256 nodes are the heads of
// the slots' lists. A timer can be unlinked without knowing its slot: if its two neighbours are the
// same head, that list is empty then.
type Wheel struct {
	nodes paged.Array[node]
	used  [levels]uint64 // which slots of a level have timers
	now   Tick           // everything before now was handed out
	free  ID             // a list by next
	n     int

	emptying int // the level whose slot for now is not empty yet, and those below; 0: none
}

type node struct {
	next, prev ID
	at         Tick
	key        uint32
}

// init makes the list heads.
func (w *Wheel) init() {
	for range heads {
		i := ID(w.nodes.Grow())
		*w.node(i) = node{next: i, prev: i}
	}
}

func (w *Wheel) node(i ID) *node { return w.nodes.At(uint32(i)) }

// Len returns the number of timers.
func (w *Wheel) Len() int { return w.n }

// Restart sets the time of a wheel that is empty. Expire keeps it up to date otherwise.
func (w *Wheel) Restart(now Tick) { w.now, w.emptying = now, 0 }

// Add sets a timer. Expire returns its key, which must not be Moved, at tick at, or at the next
// call if that has passed.
func (w *Wheel) Add(at Tick, key uint32) ID {
	if w.nodes.Len() == 0 {
		w.init()
	}
	id := w.free
	if id != 0 {
		w.free = w.node(id).next
	} else {
		id = ID(w.nodes.Grow())
	}
	w.n++
	*w.node(id) = node{at: at, key: key}
	w.link(id)
	return id
}

// Move sets a timer to another tick.
func (w *Wheel) Move(id ID, at Tick) {
	w.unlink(id)
	w.node(id).at = at
	w.link(id)
}

// Remove removes a timer and frees its ID.
func (w *Wheel) Remove(id ID) {
	w.unlink(id)
	w.node(id).next = w.free
	w.free = id
	if w.n--; w.n == 0 {
		w.emptying = 0
	}
}

// link puts a timer into the slot for its time, as seen from now.
func (w *Wheel) link(id ID) {
	n := w.node(id)
	at := n.at
	if wait := int32(at - w.now); wait < 0 {
		at = w.now
	} else if wait > Longest {
		at = w.now + Longest
	}
	// The level is that of the highest digit in which at and now differ. The lower digits count
	// within that slot. A difference above the highest level is a carry out of it, whose slots go
	// round.
	level := 0
	if differ := uint32(at ^ w.now); differ != 0 {
		level = min((bits.Len32(differ)-1)/slotBits, levels-1)
	}
	slot := at >> (level * slotBits) % slots
	head := ID(level*slots) + ID(slot)
	h := w.node(head)
	n.next, n.prev = head, h.prev
	w.node(h.prev).next = id
	h.prev = id
	w.used[level] |= 1 << slot
}

func (w *Wheel) unlink(id ID) {
	n := w.node(id)
	w.node(n.next).prev = n.prev
	w.node(n.prev).next = n.next
	if n.next == n.prev && n.next < heads {
		w.used[n.next/slots] &^= 1 << (n.next % slots)
	}
}

// Next returns the earliest tick at which Expire has something to do: it hands out a timer, or
// moves some to a lower level.
func (w *Wheel) Next() (at Tick, ok bool) {
	if w.emptying > 0 || w.used[0]&(1<<(w.now%slots)) != 0 {
		return w.now, true
	}
	for level, used := range w.used {
		if used != 0 {
			turns := w.now >> (level * slotBits)
			ahead := bits.TrailingZeros64(bits.RotateLeft64(used, -int(turns%slots)-1)) + 1
			return (turns + Tick(ahead)) << (level * slotBits), true
		}
	}
	return 0, false
}

// Expire returns the key of one timer that is due at now, and frees it. ok is false if there is
// none. If the key is Moved, it has moved many timers instead, and the next call goes on. Timers
// expire in the order of their ticks; the order within a tick is undefined. The caller may Add,
// Move and Remove timers between two calls. now must never go backwards.
func (w *Wheel) Expire(now Tick) (key uint32, ok bool) {
	for {
		if !w.empty() {
			return Moved, true
		}
		at, ok := w.Next()
		if !ok || int32(at-now) > 0 {
			break
		}
		if at != w.now { // slots begin there
			w.now, w.emptying = at, levels-1
			continue
		}
		id := w.node(ID(at % slots)).next
		key = w.node(id).key
		w.Remove(id)
		return key, true
	}
	if int32(now-w.now) > 0 {
		w.now = now // no slot begins before that
	}
	return 0, false
}

// empty moves timers from the slots of higher levels that begin now into lower ones. It reports
// whether that is done. What is added meanwhile is never put into such a slot.
func (w *Wheel) empty() (done bool) {
	for moved := 0; w.emptying > 0; w.emptying-- {
		level := w.emptying
		if w.now&(1<<(level*slotBits)-1) != 0 {
			continue
		}
		slot := w.now >> (level * slotBits) % slots
		head := ID(level*slots) + ID(slot)
		for h := w.node(head); h.next != head; moved++ {
			if moved == maxMoved {
				return false
			}
			id := h.next
			w.unlink(id)
			w.link(id)
		}
	}
	return true
}
