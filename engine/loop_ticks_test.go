package engine_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestTickerKeepsItsSchedule: every call is due whole periods after the first one, never early, and
// what was missed is counted.
func TestTickerKeepsItsSchedule(t *testing.T) {
	e := serve(t, engine.Config{Loops: 2}, echoes)
	const period = 3 * time.Millisecond
	ticks := make(chan engine.Tick, 20)
	slow := 0
	ticker, err := e.NewTicker(1, period, func(k engine.Tick) {
		if slow++; slow == 5 { // takes longer than two periods
			for begin := time.Now(); time.Since(begin) < 3*period; {
			}
		}
		select {
		case ticks <- k:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var next time.Duration
	skipped := 0
	for i := range cap(ticks) {
		k := receive(t, "tick", ticks)
		if i > 0 && k.Due != next {
			t.Errorf("tick %d was due at %v, want %v", i, k.Due, next)
		}
		if k.Now < k.Due || k.Late() != k.Now-k.Due || k.Skipped != int(k.Late()/period) {
			t.Errorf("tick %d: %+v", i, k)
		}
		next = k.Due + time.Duration(k.Skipped+1)*period
		skipped += k.Skipped
	}
	if skipped < 2 {
		t.Errorf("%d ticks were skipped, want at least 2", skipped)
	}
	ticker.Stop()
	ticker.Stop()
}

// TestTickerStops: on its loop, there is no call after Stop; it may stop itself.
func TestTickerStops(t *testing.T) {
	e := serve(t, engine.Config{Loops: 1}, echoes)
	var ticker atomic.Pointer[engine.Ticker]
	calls := make(chan int, 100)
	n := 0
	made, err := e.NewTicker(0, time.Millisecond, func(engine.Tick) {
		if k := ticker.Load(); k != nil {
			n++
			k.Stop()
			calls <- n
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ticker.Store(made)
	receive(t, "call", calls)
	// Another one shows that the loop ticks on.
	others := make(chan struct{}, 100)
	if _, err := e.NewTicker(0, time.Millisecond, func(engine.Tick) {
		select {
		case others <- struct{}{}:
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		receive(t, "tick", others)
	}
	if len(calls) > 0 {
		t.Error("called after Stop")
	}
}

// TestTickerSurvivesPanic: a panic in a tick ends neither its Ticker nor another one.
func TestTickerSurvivesPanic(t *testing.T) {
	e := serve(t, engine.Config{Loops: 1}, echoes)
	bad, good := make(chan struct{}, 10), make(chan struct{}, 10)
	signal := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	for _, f := range []func(engine.Tick){
		func(engine.Tick) { signal(bad); panic("tick") },
		func(engine.Tick) { signal(good) },
	} {
		if _, err := e.NewTicker(0, time.Millisecond, f); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		receive(t, "tick that panics", bad)
		receive(t, "tick", good)
	}
}

func TestTickerErrors(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := func(engine.Tick) {}
	for _, c := range []struct {
		name   string
		loop   int
		period time.Duration
		f      func(engine.Tick)
	}{
		{name: "no such loop", loop: 1, period: time.Second, f: f},
		{name: "no period", f: f},
		{name: "no function", period: time.Second},
	} {
		if _, err := e.NewTicker(c.loop, c.period, c.f); err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
	e.Close()
	if _, err := e.NewTicker(0, time.Second, f); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestTickIsCalledInALongTurn: between two deliveries, and what it writes goes out before the turn
// has ended. Each of many connections keeps the loop for a while, so that one turn takes many
// periods.
func TestTickIsCalledInALongTurn(t *testing.T) {
	const conns, work = 60, 2 * time.Millisecond
	order := make(chan string, 1000)
	var open []*engine.Conn
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		open = append(open, c)
		return &proto{feed: func(b []byte) (int, error) {
			for begin := time.Now(); time.Since(begin) < work; {
			}
			order <- "delivery"
			return len(b), nil
		}}
	})
	var peers []net.Conn
	for range conns {
		peers = append(peers, s.dial(t))
	}
	if _, err := s.NewTicker(0, 5*time.Millisecond, func(engine.Tick) {
		order <- "tick"
		if len(open) > 0 {
			open[0].Write([]byte("y"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	ready, proceed := make(chan struct{}), make(chan struct{})
	s.Post(0, func() { // all bytes arrive while the loop is here
		close(ready)
		<-proceed
	})
	receive(t, "turn", ready)
	for _, c := range peers {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	close(proceed)
	run, longest := 0, 0
	for deliveries := 0; deliveries < conns; {
		if receive(t, "event", order) == "tick" {
			run = 0
			continue
		}
		deliveries++
		run++
		longest = max(longest, run)
	}
	if longest > 12 {
		t.Errorf("%d deliveries of %v without a tick, whose period is 5 ms", longest, work)
	}
}

// TestTickWritesBeforeALongTurnEnds: a tick in the middle of a turn has its output sent there.
func TestTickWritesBeforeALongTurnEnds(t *testing.T) {
	const conns = 20
	answered := make(chan struct{})
	var open []*engine.Conn
	early, deliveries := make(chan bool, conns), 0
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		open = append(open, c)
		return &proto{feed: func(b []byte) (int, error) {
			select { // until the peer has what a tick has written, or for long enough
			case <-answered:
				early <- true
			case <-time.After(50 * time.Millisecond):
				early <- false
			}
			deliveries++
			return len(b), nil
		}}
	})
	watcher := s.dial(t)
	var peers []net.Conn
	for range conns {
		peers = append(peers, s.dial(t))
	}
	written := false
	if _, err := s.NewTicker(0, time.Millisecond, func(engine.Tick) {
		// Not before a delivery has begun: then this is in the midst of a turn.
		if deliveries == 0 || written {
			return
		}
		for _, c := range open {
			if c.RemoteAddr().String() == watcher.LocalAddr().String() {
				c.Write([]byte("y"))
				written = true
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	ready, proceed := make(chan struct{}), make(chan struct{})
	s.Post(0, func() {
		close(ready)
		<-proceed
	})
	receive(t, "turn", ready)
	for _, c := range peers {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		if _, err := watcher.Read(make([]byte, 1)); err == nil {
			close(answered)
		}
	}()
	close(proceed)
	seen := false
	for range conns {
		seen = receive(t, "delivery", early) || seen
	}
	if !seen {
		t.Error("what a tick has written went out only when the turn had ended")
	}
}
