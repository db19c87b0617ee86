package sim_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestClock(t *testing.T) {
	s := newScript(t, sim.Config{Faults: sim.Faults{Delay: 1, MaxDelay: 5 * time.Millisecond}})
	_, _, p := s.pair(driver.Read)
	if n := s.poll(time.Second); n != 0 || s.d.Now() != time.Second || !s.n.Idle() {
		t.Error(n, s.d.Now())
	}
	p.Send([]byte("late"))
	if s.n.Idle() {
		t.Error("idle with bytes on the wire")
	}
	if n := s.poll(0); n != 0 || s.d.Now() != time.Second {
		t.Error(n, s.d.Now())
	}
	if n := s.poll(time.Minute); n != 1 || s.d.Now() <= time.Second || s.d.Now() > time.Second+5*time.Millisecond {
		t.Error(n, s.d.Now())
	}
	s.logged("late")
	now := s.d.Now()
	if n := s.poll(-1); n != 0 || s.d.Now() != now {
		t.Error("a Poll that nothing can end:", n, s.d.Now())
	}
	p.Send([]byte("again"))
	s.n.Advance(time.Second)
	if n := s.poll(-1); n != 1 || s.d.Now() != now+time.Second {
		t.Error(n, s.d.Now())
	}
	s.logged("again")
	s.d.Wake()
	if s.n.Idle() || s.poll(-1) != 1 || !s.n.Idle() {
		t.Error("Idle and Wake disagree")
	}
}

// TestClockStandsForWork has two loops. Neither lets time pass while the other has something to do.
func TestClockStandsForWork(t *testing.T) {
	s := newScript(t, sim.Config{})
	other := open(s.n)
	_, _, p := s.pair(driver.Read)
	s.poll(0)
	s.poll(-1)
	wait := func(want time.Duration) {
		t.Helper()
		if _, err := other.Poll(time.Second, s); err != nil || s.n.Now() != want {
			t.Errorf("%v, %v, want %v", s.n.Now(), err, want)
		}
	}
	p.Send([]byte("work"))
	wait(0) // an event is waiting
	s.poll(-1)
	wait(0) // the first loop works
	if s.poll(-1); s.n.Now() != time.Second {
		t.Errorf("%v: nobody had anything to do for a second", s.n.Now())
	}
}

// TestClockOfTwoLoops steps two loops in turn. Neither is late because the other one waited.
func TestClockOfTwoLoops(t *testing.T) {
	n := sim.New(sim.Config{})
	a, b := open(n), open(n)
	dueA, dueB := 3*time.Millisecond, 10*time.Millisecond
	firedA, firedB := 0, 0
	for steps := 0; firedB < 20; steps++ {
		if steps > 10_000 {
			t.Fatal("the clock stands still at", n.Now())
		}
		for _, l := range []struct {
			d     loop
			due   *time.Duration
			every time.Duration
			fired *int
		}{{a, &dueA, 3 * time.Millisecond, &firedA}, {b, &dueB, 10 * time.Millisecond, &firedB}} {
			if _, err := l.d.Poll(max(0, *l.due-n.Now()), &script{}); err != nil {
				t.Fatal(err)
			}
			if n.Now() > *l.due {
				t.Fatalf("due at %v, now %v", *l.due, n.Now())
			}
			if n.Now() == *l.due {
				*l.fired++
				*l.due += l.every
			}
		}
	}
	if firedA < 66 || firedA > 67 {
		t.Errorf("%d against %d", firedA, firedB)
	}
}
