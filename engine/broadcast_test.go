package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// slowConn is a connection on a simulated network whose peer does not read, and what was told of
// its end.
func slowConn(t *testing.T, c engine.Config) (s *simulated, conn *engine.Conn, p *sim.Peer,
	reason func() (error, bool)) {
	t.Helper()
	var end error
	closed := false
	c.Loops, c.WriteTimeout = 1, -1
	s = onSim(t, sim.Config{Seed: 1, Buffer: 1000}, c, func(c *engine.Conn) engine.Protocol {
		conn = c
		return &proto{
			feed:   func(b []byte) (int, error) { return len(b), nil },
			closed: func(err error) { end, closed = err, true },
		}
	})
	p = s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return conn != nil }) {
		t.Fatal("not accepted")
	}
	return s, conn, p, func() (error, bool) { return end, closed }
}

// numbered is message i: 100 bytes that say so.
func numbered(i int) []byte { return []byte(fmt.Sprintf("%099d\n", i)) }

// arrived reads all that comes, as message numbers; it fails if one is not whole.
func arrived(t *testing.T, s *simulated, p *sim.Peer) (got []int) {
	t.Helper()
	var all []byte
	for quiet := 0; quiet < 50; quiet++ {
		s.Step()
		if b := p.Recv(10_000); len(b) > 0 {
			all, quiet = append(all, b...), 0
		}
	}
	for _, line := range bytes.SplitAfter(all, []byte("\n")) {
		var i int
		if len(line) == 0 {
			continue
		}
		if _, err := fmt.Sscanf(string(line), "%d\n", &i); err != nil || !bytes.Equal(line, numbered(i)) {
			t.Fatalf("a message is broken: %q", line)
		}
		got = append(got, i)
	}
	return got
}

func TestSlowConsumerPolicies(t *testing.T) {
	const messages, high = 200, 5000 // 20,000 bytes for a peer that takes 2,000
	for _, c := range []struct {
		policy engine.SlowPolicy
		check  func(t *testing.T, got []int, st engine.Stats)
	}{
		{engine.SlowWait, func(t *testing.T, got []int, st engine.Stats) {
			if len(got) != messages {
				t.Errorf("%d of %d messages", len(got), messages)
			}
		}},
		{engine.SlowDropNewest, func(t *testing.T, got []int, st engine.Stats) {
			if n := len(got); n < high/100 || n > high/100+25 || got[n-1] != n-1 ||
				uint64(messages-n) != st.Slow[engine.SlowDropNewest] {
				t.Errorf("%d messages to %d, %d were dropped", n, got[n-1], st.Slow[engine.SlowDropNewest])
			}
		}},
		{engine.SlowDropOldest, func(t *testing.T, got []int, st engine.Stats) {
			n := len(got)
			if n < high/100 || n > high/100+25 || got[0] != 0 || got[n-1] != messages-1 ||
				uint64(messages-n) != st.Dropped {
				t.Errorf("%d messages from %d to %d, %d were dropped", n, got[0], got[n-1], st.Dropped)
			}
		}},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			s, conn, p, _ := slowConn(t, engine.Config{HighWater: high})
			for i := range messages {
				engine.Broadcast(slices.Values([]engine.Handle{conn.Handle()}), numbered(i), c.policy)
				s.Step()
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			}
			if n := conn.Outbound(); c.policy != engine.SlowWait && n > high+100 {
				t.Errorf("%d bytes are queued, over the high watermark of %d", n, high)
			}
			got := arrived(t, s, p)
			if !slices.IsSorted(got) {
				t.Fatalf("out of order: %v", got)
			}
			st := s.StatsNow()
			if st.Slow[c.policy] == 0 {
				t.Error("the policy was not counted")
			}
			c.check(t, got, st)
		})
	}
}

// TestSlowCloseGivesGrace: a peer that catches up in time stays, another is closed, and a second
// time begins anew.
func TestSlowCloseGivesGrace(t *testing.T) {
	const grace = 10 * time.Second
	s, conn, p, reason := slowConn(t, engine.Config{HighWater: 5000, SlowGrace: grace})
	fill := func() {
		for i := range 100 {
			s.InTurn(0, func() { conn.WriteShared(numbered(i), engine.SlowClose) })
			s.Step()
		}
	}
	almost := func() (closed bool) {
		// or the clock would jump to the end of the grace time
		s.InTurn(0, func() { conn.AfterFunc(grace*8/10, func() {}) })
		return s.until(t, grace*8/10, func() bool { _, closed := reason(); return closed })
	}
	fill()
	almost()
	if got := arrived(t, s, p); len(got) != 100 {
		t.Fatalf("%d of 100 messages", len(got))
	}
	fill()
	if almost() {
		err, _ := reason()
		t.Fatalf("closed %v although it had caught up once: the grace time did not begin anew", err)
	}
	if !s.until(t, grace, func() bool { _, closed := reason(); return closed }) {
		t.Fatal("not closed after the grace time")
	}
	if err, _ := reason(); !errors.Is(err, engine.ErrSlow) {
		t.Fatalf("reason %v", err)
	}
	if st := s.StatsNow(); st.Closed[engine.CauseStall] != 1 {
		t.Errorf("closed by cause: %v", st.Closed)
	}
}

// TestSmallSharedMessagesKeepTheirOrder before a large Write, however many they are.
func TestSmallSharedMessagesKeepTheirOrder(t *testing.T) {
	var want []byte
	large := bytes.Repeat([]byte("large"), 10_000)
	handles := make(chan engine.Handle, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	c := s.dial(t)
	h := receive(t, "connection", handles)
	for i := range 300 {
		want = append(want, numbered(i)...)
	}
	want = append(want, large...)
	want = append(want, large...)
	h.Post(func(c *engine.Conn) {
		for i := range 300 {
			c.WriteShared(numbered(i), engine.SlowWait)
		}
		c.Write(large)
		c.Writev(large[:10], large[10:])
	})
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("other bytes arrived, or in another order: %v", err)
	}
}

func TestBroadcastDoesNotAllocatePerConnection(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const peers = 200
	handles := make(chan engine.Handle, peers)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	var to []engine.Handle
	b, msg := make([]byte, 5), []byte("hello")
	for range peers {
		s.dial(t)
		to = append(to, receive(t, "connection", handles))
	}
	last := s.dial(t)
	to = append(to, receive(t, "connection", handles))
	if n := testing.AllocsPerRun(100, func() {
		engine.Broadcast(slices.Values(to), msg, engine.SlowWait)
		if _, err := io.ReadFull(last, b); err != nil {
			t.Fatal(err)
		}
	}); n > 10 {
		t.Errorf("%v allocations for a broadcast to %d", n, len(to))
	}
}

func TestSlowPolicyStrings(t *testing.T) {
	for p, want := range map[engine.SlowPolicy]string{engine.SlowDropNewest: "drop_newest", engine.SlowWait: "wait",
		engine.SlowClose: "close", 17: "SlowPolicy(17)"} {
		if p.String() != want {
			t.Errorf("%q, want %q", p, want)
		}
	}
}
