package topic

import (
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

// pageSize is how many appointments are in a page.
const pageSize = 512

// appointments is a heap, the next one first. It grows by pages: to copy a million of them, for
// which all loops that publish would wait, takes up to 100 ms.
type appointments struct {
	pages []*[pageSize]appointment
	n     int
}

func (a *appointments) len() int { return a.n }

func (a *appointments) at(i int) *appointment { return &a.pages[i/pageSize][i%pageSize] }

func (a *appointments) first() *appointment { return a.at(0) }

func (a *appointments) push(x appointment) {
	if a.n == len(a.pages)*pageSize {
		a.pages = append(a.pages, new([pageSize]appointment))
	}
	i := a.n
	a.n++
	for i > 0 {
		up := (i - 1) / 2
		if !x.when.Before(a.at(up).when) {
			break
		}
		*a.at(i) = *a.at(up)
		i = up
	}
	*a.at(i) = x
}

// pop removes the first one, and returns it.
func (a *appointments) pop() appointment {
	top := *a.first()
	a.n--
	x := *a.at(a.n)
	*a.at(a.n) = appointment{}
	if pages := a.n/pageSize + 2; pages < len(a.pages) { // one is left empty
		a.pages[pages] = nil
		a.pages = a.pages[:pages]
	}
	if a.n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= a.n {
			break
		}
		if down+1 < a.n && a.at(down+1).when.Before(a.at(down).when) {
			down++
		}
		if !a.at(down).when.Before(x.when) {
			break
		}
		*a.at(i) = *a.at(down)
		i = down
	}
	*a.at(i) = x
	return top
}

// at calls f at a time, on a goroutine of its own.
func (a *agenda) at(when time.Time, f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.all.push(appointment{when, f})
	a.arm()
}

// arm sets the timer for the next appointment.
func (a *agenda) arm() {
	if a.all.len() == 0 || !a.armed.IsZero() && !a.all.first().when.Before(a.armed) {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	a.armed = a.all.first().when
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
	for a.all.len() > 0 && !a.all.first().when.After(now) {
		a.call(a.all.pop().f)
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
	a.closed, a.all = true, appointments{}
	if a.timer != nil {
		a.timer.Stop()
	}
}
