package engine_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestInspectFindsTheBusiest(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	var all []*net.TCPConn
	for range 5 {
		c := s.dial(t)
		ask(t, c, "hello")
		all = append(all, c)
	}
	stop, stopped := make(chan bool), make(chan bool)
	go func() { // traffic until the inspection is over
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			ask(t, all[3], strings.Repeat("much ", 1000))
			ask(t, all[1], "little")
		}
	}()
	found, err := s.Inspect(context.Background(), time.Second, 2)
	close(stop)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	l := found.Loops[0]
	if l.Connections != 5 || len(l.Busiest) != 2 {
		t.Fatalf("%d connections, busiest %+v", l.Connections, l.Busiest)
	}
	first, second := l.Busiest[0], l.Busiest[1]
	if first.Remote.String() != all[3].LocalAddr().String() || second.Remote.String() != all[1].LocalAddr().String() {
		t.Errorf("busiest: %+v", l.Busiest)
	}
	if first.Read <= second.Read || first.Written == 0 || first.State != "open" ||
		first.Protocol != "*engine_test.proto" {
		t.Errorf("busiest: %+v", first)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Inspect(ctx, time.Hour, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	s.Close()
	if _, err := s.Inspect(context.Background(), time.Hour, 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestInspectFindsAll: however many are asked for.
func TestInspectFindsAll(t *testing.T) {
	const conns = 100 // more than are looked at in one go
	s := serve(t, engine.Config{Loops: 1}, echoes)
	var all []*net.TCPConn
	for range conns {
		c := s.dial(t)
		ask(t, c, "hello")
		all = append(all, c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop, stopped := make(chan bool), make(chan bool)
	go func() { // traffic until the inspection is over
		defer close(stopped)
		for {
			for _, c := range all {
				ask(t, c, "x")
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	found, err := s.Inspect(ctx, time.Second/4, math.MaxInt)
	for period := time.Second / 2; err == nil && len(found.Loops[0].Busiest) < conns; period *= 2 {
		found, err = s.Inspect(ctx, period, math.MaxInt) // for all of them to say something
	}
	close(stop)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	if n := len(found.Loops[0].Busiest); n != conns {
		t.Errorf("found %d of %d", n, conns)
	}
}

func TestObserver(t *testing.T) {
	var opened, closed, turns atomic.Int32
	reasons := make(chan error, 10)
	s := serve(t, engine.Config{Loops: 2, Observer: engine.Observer{
		Opened: func(c *engine.Conn) { opened.Add(1) },
		Closed: func(c *engine.Conn, reason error) {
			closed.Add(1)
			reasons <- reason
			panic("in an observer")
		},
		Worked: func(loop int, took time.Duration) {
			if took < 0 || loop < 0 || loop > 1 {
				t.Errorf("stretch of loop %d took %v", loop, took)
			}
			turns.Add(1)
		},
	}}, echoes)
	c := s.dial(t)
	ask(t, c, "hello")
	c.CloseWrite()
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrPeerClosed) {
		t.Errorf("reason %v", err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("a panic of the observer cost the connection its end: %v", err)
	}
	ask(t, s.dial(t), "on and on")
	if opened.Load() != 2 || closed.Load() != 1 || turns.Load() == 0 {
		t.Errorf("%d opened, %d closed, %d turns", opened.Load(), closed.Load(), turns.Load())
	}
}

// TestLagIsCounted: a handler that blocks its loop shows in the histogram.
func TestLagIsCounted(t *testing.T) {
	const block = 30 * time.Millisecond
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			for begin := time.Now(); time.Since(begin) < block; { // works
			}
			c.Write(b)
			return len(b), nil
		}}
	})
	ask(t, s.dial(t), "slow")
	st := stats(t, s.Engine)
	slow, all := uint64(0), uint64(0)
	for i, n := range st.Lags {
		all += n
		if i > 0 && engine.LagBound(i-1) >= block/2 {
			slow += n
		}
	}
	if slow == 0 || all < slow || all > 2*st.Turns+2 {
		t.Errorf("%d of %d stretches are known to be slow, %d were done", slow, all, st.Turns)
	}
	for i := 1; i < engine.LagBuckets; i++ {
		if engine.LagBound(i) <= engine.LagBound(i-1) {
			t.Errorf("bound %d is %v, the one before %v", i, engine.LagBound(i), engine.LagBound(i-1))
		}
	}
}

// TestWaitingIsNoWork: only what a loop does counts as lag, not what it waits for.
func TestWaitingIsNoWork(t *testing.T) {
	fired := false
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(time.Minute, func() { fired = true })
		return echoOn(c)
	})
	s.net.Dial(s.ln.Addr())
	if !s.until(t, 2*time.Minute, func() bool { return fired }) {
		t.Fatal("the timer did not fire")
	}
	for i, n := range s.StatsNow().Lags {
		if i > 0 && n > 0 && engine.LagBound(i-1) > 100*time.Millisecond {
			t.Errorf("%d stretches of work of %v and more", n, engine.LagBound(i-1))
		}
	}
}

// TestStatsKnowWhatWaits: tasks and their bytes, for a loop that is blocked.
func TestStatsKnowWhatWaits(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
	n := s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 1 }) {
		t.Fatal("not accepted")
	}
	_ = n
	for range 3 {
		s.Post(0, func() {})
	}
	if st := s.StatsNow(); st.Tasks != 3 {
		t.Errorf("%d tasks wait", st.Tasks)
	}
	s.Step()
	if st := s.StatsNow(); st.Tasks != 0 {
		t.Errorf("%d tasks wait afterwards", st.Tasks)
	}
}
