package wheel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// check checks the wheel's structure.
func (w *Wheel) check() error {
	seen := 0
	for head := ID(0); head < heads && w.nodes.Len() > 0; head++ {
		level, slot := int(head/slots), int(head%slots)
		empty := w.node(head).next == head
		if used := w.used[level]&(1<<slot) != 0; used == empty {
			return fmt.Errorf("level %d slot %d: used is %v, empty is %v", level, slot, used, empty)
		}
		for id := w.node(head).next; id != head; id = w.node(id).next {
			n := w.node(id)
			if w.node(n.next).prev != id || w.node(n.prev).next != id {
				return fmt.Errorf("timer %d is not linked both ways", id)
			}
			if seen++; seen > w.n {
				return fmt.Errorf("more timers than %d in lists", w.n)
			}
		}
	}
	if seen != w.n {
		return fmt.Errorf("%d timers in lists, Len is %d", seen, w.n)
	}
	return nil
}

// naive is a slow wheel to compare with: a map that is searched.
type naive map[ID]struct {
	at  Tick
	key uint32
}

func (m naive) earliest() (at Tick, ok bool) {
	for _, t := range m {
		if !ok || int32(t.at-at) < 0 {
			at, ok = t.at, true
		}
	}
	return at, ok
}

func TestWheelAgainstNaive(t *testing.T) {
	defer func(n int) { maxMoved = n }(maxMoved)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		maxMoved = 1 << rng.IntN(11)
		now := Tick(rng.Uint32()) // wraps around in some
		var w Wheel
		w.Expire(now / 2)
		w.Expire(now)
		twin := naive{}
		some := func() (ID, bool) {
			for id := range twin {
				return id, true
			}
			return 0, false
		}
		when := func() Tick {
			switch rng.IntN(8) {
			case 0:
				return now - Tick(rng.IntN(5)) // past
			case 1:
				return now + Tick(rng.IntN(1<<28)) // beyond Longest
			default:
				return now + Tick(rng.IntN(1<<rng.IntN(24)))
			}
		}
		for step := range 2000 {
			switch rng.IntN(5) {
			case 0, 1:
				at, key := when(), rng.Uint32()
				id := w.Add(at, key)
				if _, taken := twin[id]; taken || id == 0 {
					t.Fatalf("seed %d step %d: ID %d is taken", seed, step, id)
				}
				e := twin[id]
				e.at, e.key = at, key
				twin[id] = e
			case 2:
				if id, ok := some(); ok {
					e := twin[id]
					e.at = when()
					twin[id] = e
					w.Move(id, e.at)
				}
			case 3:
				if id, ok := some(); ok {
					w.Remove(id)
					delete(twin, id)
				}
			case 4:
				now += Tick(rng.IntN(1 << rng.IntN(22)))
				expire(t, &w, twin, now, func() bool { return rng.IntN(4) == 0 })
			}
			if err := w.check(); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
			if w.Len() != len(twin) {
				t.Fatalf("seed %d step %d: Len is %d, want %d", seed, step, w.Len(), len(twin))
			}
			next, ok := w.Next()
			if first, any := twin.earliest(); ok != any || ok && int32(next-max32(first, now)) > 0 {
				t.Fatalf("seed %d step %d: Next is %d, %v; the earliest timer is at %d", seed, step, next, ok, first)
			}
		}
	}
}

func max32(a, b Tick) Tick {
	if int32(a-b) > 0 {
		return a
	}
	return b
}

// expire takes all due timers, and checks that each comes once, in the order of ticks, and none
// early. It may stop where timers are moved.
func expire(t *testing.T, w *Wheel, twin naive, now Tick, stops func() bool) {
	t.Helper()
	last, begun := Tick(0), false
	for {
		key, ok := w.Expire(now)
		if !ok {
			break
		}
		if key == Moved {
			if stops() {
				return
			}
			continue
		}
		var id ID
		for i, e := range twin {
			if e.key == key {
				id = i
			}
		}
		e, known := twin[id]
		if !known {
			t.Fatalf("key %d was not set", key)
		}
		if int32(e.at-now) > 0 {
			t.Fatalf("timer at %d fired at %d", e.at, now)
		}
		if begun && int32(e.at-last) < 0 && int32(last-now) < 0 {
			// Timers that were late when they were set have no order among the others.
			if int32(e.at-last) < -4 {
				t.Fatalf("timer at %d after one at %d", e.at, last)
			}
		}
		last, begun = e.at, true
		delete(twin, id)
	}
	for _, e := range twin {
		if int32(e.at-now) <= 0 {
			t.Fatalf("timer at %d did not fire at %d", e.at, now)
		}
	}
}

func TestNextLeadsToEveryTimer(t *testing.T) {
	// A loop that sleeps until Next wakes a few times per timer, not once per tick.
	var w Wheel
	w.Add(5_000_000, 1)
	wakes := 0
	for {
		at, ok := w.Next()
		if !ok {
			break
		}
		wakes++
		if _, ok := w.Expire(at); ok && at != 5_000_000 {
			t.Fatalf("fired at %d", at)
		}
	}
	if wakes > levels+1 {
		t.Fatalf("%d wakes for one timer", wakes)
	}
}

func TestTimerBeyondLongestFiresOnTime(t *testing.T) {
	var w Wheel
	at := Tick(3*Longest + 17)
	w.Add(at, 1)
	for {
		next, ok := w.Next()
		if !ok {
			t.Fatal("the timer is lost")
		}
		if key, fired := w.Expire(next); fired && key != Moved {
			if next != at {
				t.Fatalf("fired at %d, want %d", next, at)
			}
			return
		}
	}
}

func TestWheelDoesNotAllocate(t *testing.T) {
	var w Wheel
	now := Tick(0)
	ids := make([]ID, 100)
	for i := range ids {
		ids[i] = w.Add(Tick(i*1000), uint32(i))
	}
	if n := testing.AllocsPerRun(1000, func() {
		id := w.Add(now+100, 7)
		w.Move(id, now+5000)
		w.Move(ids[50], now+60000)
		w.Remove(id)
		now += 3
		w.Expire(now - 1000)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestManyTimersAreMovedInParts: a million timers with deadlines in the same 41 s were moved to a
// lower level in one call, which took 20 ms.
func TestManyTimersAreMovedInParts(t *testing.T) {
	var w Wheel
	const n = 10_000
	for i := range n {
		w.Add(slots*slots+Tick(i%slots), uint32(i))
	}
	calls, fired := 0, 0
	for at, ok := w.Next(); ok; at, ok = w.Next() {
		key, any := w.Expire(at)
		switch {
		case any && key == Moved:
			calls++
		case any:
			fired++
		}
		if fired%1000 == 0 {
			if err := w.check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fired != n || calls < n/maxMoved {
		t.Errorf("%d of %d fired, and %d calls moved some", fired, n, calls)
	}
}
