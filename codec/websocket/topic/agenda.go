package topic

import (
	"container/heap"
	"sync"
	"time"
)

// clock is the time, which tests have their own of.
type clock interface {
	Now() time.Time
	AfterFunc(d time.Duration, f func()) stopper
}

type stopper interface{ Stop() bool }

type realClock struct{}

func (realClock) Now() time.Time                              { return time.Now() }
func (realClock) AfterFunc(d time.Duration, f func()) stopper { return time.AfterFunc(d, f) }

// agenda calls functions at their times, with one timer for all. Appointments cannot be cancelled:
// the function finds out that there is nothing to do.
type agenda struct {
	clock clock

	mu     sync.Mutex
	all    appointments
	timer  stopper
	armed  time.Time // when timer fires; zero: it does not
	closed bool
}

type appointment struct {
	when time.Time
	f    func()
}

type appointments []appointment

func (a appointments) Len() int           { return len(a) }
func (a appointments) Less(i, j int) bool { return a[i].when.Before(a[j].when) }
func (a appointments) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *appointments) Push(x any)        { *a = append(*a, x.(appointment)) }
func (a *appointments) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = appointment{}
	*a = (*a)[:last]
	return x
}

// at calls f at a time, on a goroutine of its own.
func (a *agenda) at(when time.Time, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	heap.Push(&a.all, appointment{when, f})
	a.arm()
}

// arm sets the timer for the next appointment.
func (a *agenda) arm() {
	if len(a.all) == 0 || !a.armed.IsZero() && !a.all[0].when.Before(a.armed) {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.armed = a.all[0].when
	a.timer = a.clock.AfterFunc(a.armed.Sub(a.clock.Now()), a.run)
}

func (a *agenda) run() {
	a.mu.Lock()
	defer func() { // also if runtime.Goexit is called, as a Broker may
		a.armed = time.Time{}
		a.arm()
		a.mu.Unlock()
	}()
	now := a.clock.Now()
	for len(a.all) > 0 && !a.all[0].when.After(now) {
		a.call(heap.Pop(&a.all).(appointment).f)
	}
}

// call calls f without the lock.
func (a *agenda) call(f func()) {
	a.mu.Unlock()
	defer a.mu.Lock()
	f()
}

func (a *agenda) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed, a.all = true, nil
	if a.timer != nil {
		a.timer.Stop()
	}
}
