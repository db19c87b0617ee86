package wheel

import (
	"container/heap"
	"fmt"
	"testing"
	"time"
)

// BenchmarkWheel does with timers what a loop does. It compares the Wheel with time.AfterFunc,
// which has a heap and a lock for each processor, and with container/heap.
//
// move puts off a timer that was set a while ago, as for an idle connection that receives
// something. add sets a timer and removes it again, as for a handshake. expire waits for the next
// timer that is due, and sets another one.
func BenchmarkWheel(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 17} {
		for _, m := range []struct {
			op, impl string
			run      func(b *testing.B, n int)
		}{
			{"move", "myriad", moveWheel}, {"move", "time", moveTime}, {"move", "heap", moveHeap},
			{"add", "myriad", addWheel}, {"add", "time", addTime}, {"add", "heap", addHeap},
			{"expire", "myriad", expireWheel}, {"expire", "heap", expireHeap},
		} {
			b.Run(fmt.Sprintf("op=%s/timers=%d/impl=%s", m.op, n, m.impl), func(b *testing.B) {
				b.ReportAllocs()
				m.run(b, n)
			})
		}
	}
}

const minute = 60_000 // ticks

// scatter turns numbers that count up into scattered ones, no two alike.
func scatter(i int) uint32 { return uint32(i) * 2654435761 }

// delay returns up to about a minute, in ticks.
func delay(i int) Tick { return Tick(scatter(i)>>16) + 1 }

// idle returns the time of timers that are all put off before they are due.
func idle(int) Tick { return minute }

func moveWheel(b *testing.B, n int) {
	w, ids := filled(n, idle)
	for i := 0; b.Loop(); i++ {
		now := Tick(i / 16)
		w.Move(ids[scatter(i)%uint32(n)], now+minute)
		if i%64 == 0 { // a turn of the loop
			w.Expire(now)
		}
	}
}

func moveTime(b *testing.B, n int) {
	timers := timersOfTime(b, n)
	for i := 0; b.Loop(); i++ {
		timers[scatter(i)%uint32(n)].Reset(time.Hour)
	}
}

func moveHeap(b *testing.B, n int) {
	h, timers := filledHeap(n, idle)
	for i := 0; b.Loop(); i++ {
		t := timers[scatter(i)%uint32(n)]
		t.at = Tick(i/16) + minute
		heap.Fix(h, t.place)
	}
}

func addWheel(b *testing.B, n int) {
	w, _ := filled(n, delay)
	for i := 0; b.Loop(); i++ {
		w.Remove(w.Add(delay(i), 0))
	}
}

func addTime(b *testing.B, n int) {
	timersOfTime(b, n)
	for i := 0; b.Loop(); i++ {
		time.AfterFunc(time.Hour+time.Duration(delay(i))*time.Millisecond, func() {}).Stop()
	}
}

func addHeap(b *testing.B, n int) {
	h, _ := filledHeap(n, delay)
	t := new(timer)
	for i := 0; b.Loop(); i++ {
		t.at = delay(i)
		heap.Push(h, t)
		heap.Remove(h, t.place)
	}
}

func expireWheel(b *testing.B, n int) {
	w, _ := filled(n, delay)
	now := Tick(0)
	for i := 0; b.Loop(); i++ {
		key, due := w.Expire(now)
		for ; !due || key == Moved; key, due = w.Expire(now) {
			now, _ = w.Next()
		}
		w.Add(now+delay(i), 0)
	}
}

func expireHeap(b *testing.B, n int) {
	h, _ := filledHeap(n, delay)
	for i := 0; b.Loop(); i++ {
		t := heap.Pop(h).(*timer)
		t.at += delay(i)
		heap.Push(h, t)
	}
}

// filled returns a wheel of n timers, which are due at when(0), when(1) and so on.
func filled(n int, when func(int) Tick) (*Wheel, []ID) {
	w, ids := new(Wheel), make([]ID, n)
	for i := range ids {
		ids[i] = w.Add(when(i), 0)
	}
	return w, ids
}

func timersOfTime(b *testing.B, n int) []*time.Timer {
	timers := make([]*time.Timer, n)
	for i := range timers {
		timers[i] = time.AfterFunc(time.Hour+time.Duration(delay(i))*time.Millisecond, func() {})
	}
	b.Cleanup(func() {
		for _, t := range timers {
			t.Stop()
		}
	})
	return timers
}

// timers is a heap as in the documentation of container/heap.
type timers []*timer

type timer struct {
	at    Tick
	place int
}

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].at < h[j].at }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *timers) Push(t any) {
	t.(*timer).place = len(*h)
	*h = append(*h, t.(*timer))
}

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	*h = (*h)[:last]
	return t
}

func filledHeap(n int, when func(int) Tick) (*timers, []*timer) {
	h, all := new(timers), make([]*timer, n)
	for i := range all {
		all[i] = &timer{at: when(i)}
		heap.Push(h, all[i])
	}
	return h, all
}
