package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// lightOnes are many connections that have needed little so far, and another one that goes on to.
type lightOnes struct {
	*simulated
	peers []*sim.Peer
	other *sim.Peer
}

// newLightOnes makes them. Each has sent an x, which is answered. What else they send goes to feed.
func newLightOnes(t *testing.T, peers int, c engine.Config,
	feed func(s *simulated, c *engine.Conn, b []byte) int) *lightOnes {
	t.Helper()
	cr := &lightOnes{}
	c.Loops = 1
	cr.simulated = onSim(t, sim.Config{Seed: 1}, c, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if b[0] == 'x' {
				c.Write(b[:1])
				c.Yield()
				return 1, nil
			}
			return feed(cr.simulated, c, b), nil
		}}
	})
	for range peers {
		cr.peers = append(cr.peers, cr.net.Dial(cr.ln.Addr()))
	}
	cr.other = cr.net.Dial(cr.ln.Addr())
	cr.until(t, time.Second, func() bool { return cr.StatsNow().Connections == peers+1 })
	for _, p := range cr.peers {
		p.Send([]byte("x"))
	}
	cr.net.Advance(time.Second)
	for range 20 {
		cr.Step()
	}
	return cr
}

// turns turns the loop until done, and fails if a turn takes longer than most, or if the other one
// waits for its answer for more than so many turns.
func (cr *lightOnes) turns(t *testing.T, most time.Duration, patience int, done func() bool) {
	t.Helper()
	cr.other.Send([]byte("x"))
	for turn, waits := 0, 0; !done(); turn++ {
		if turn > 100_000 {
			t.Fatal("it does not end")
		}
		begin := cr.net.Now()
		cr.Step()
		if took := cr.net.Now() - begin; took > most && took < time.Second {
			t.Fatalf("turn %d took %v", turn, took)
		}
		if waits++; len(cr.other.Recv(1)) > 0 {
			waits = 0
			cr.other.Send([]byte("x"))
		}
		if waits > patience {
			t.Fatalf("another connection has waited for %d turns", waits)
		}
	}
}

// TestManyThatBeginAtOnceLeaveRoomForOthers: connections that need little are served in any turn.
// Hundreds of them may begin to need much at once, each for the first time.
func TestManyThatBeginAtOnceLeaveRoomForOthers(t *testing.T) {
	const peers, work, most = 1000, 300 * time.Microsecond, 8 * time.Millisecond
	fed := 0
	cr := newLightOnes(t, peers, engine.Config{}, func(s *simulated, c *engine.Conn, b []byte) int {
		s.net.Advance(work)
		fed++
		c.AddWork(1 << 20)
		c.Yield()
		return len(b)
	})
	for _, p := range cr.peers {
		p.Send([]byte("much"))
	}
	cr.turns(t, most, 2000, func() bool { return fed >= peers })
}

// TestMuchThatIsLeftLeavesRoomForOthers: thousands of connections need little in each turn, and
// have left the rest. All were offered it in every turn.
func TestMuchThatIsLeftLeavesRoomForOthers(t *testing.T) {
	const peers, messages, work, most = 3000, 20, 20 * time.Microsecond, 8 * time.Millisecond
	fed := 0
	cr := newLightOnes(t, peers, engine.Config{TurnMessages: 64}, func(s *simulated, c *engine.Conn, b []byte) (n int) {
		s.net.Advance(work)
		for stop := false; n < len(b) && !stop; n++ {
			fed++
			stop = c.Yield()
		}
		return n
	})
	for _, p := range cr.peers {
		p.Send(make([]byte, messages))
	}
	cr.turns(t, most, 20, func() bool { return fed >= peers*messages })
}

// TestTickerDoesNotMakeTurnsLong: what a tick touches is settled within a long turn, which began
// deliverTime anew.
func TestTickerDoesNotMakeTurnsLong(t *testing.T) {
	const peers, work, most = 300, 300 * time.Microsecond, 8 * time.Millisecond
	fed := 0
	var conns []*engine.Conn
	cr := newLightOnes(t, peers, engine.Config{}, func(s *simulated, c *engine.Conn, b []byte) int {
		s.net.Advance(work)
		conns = append(conns, c)
		fed++
		c.AddWork(1 << 20)
		c.Yield()
		return len(b)
	})
	if _, err := cr.NewTicker(0, 500*time.Microsecond, func(engine.Tick) {
		if len(conns) > 0 {
			conns[0].Write([]byte("t"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for _, p := range cr.peers {
			p.Send([]byte("much"))
		}
		cr.turns(t, most, 2000, func() bool { return fed >= peers*(round+1) })
	}
}

// TestManyWritesCountForTheTurn: a peer sends small messages, and each is sent to a thousand
// others, which takes a system call for each of these. Only the bytes counted.
func TestManyWritesCountForTheTurn(t *testing.T) {
	const peers, messages, most = 500, 200, 4
	var conns []*engine.Conn
	turns := make(map[uint64]int)
	var cr *lightOnes
	fed := 0
	cr = newLightOnes(t, peers, engine.Config{}, func(s *simulated, c *engine.Conn, b []byte) (n int) {
		if b[0] == 'j' {
			conns = append(conns, c)
			return len(b)
		}
		for stop := false; n < len(b) && !stop; n++ {
			for _, c := range conns {
				c.WriteShared([]byte("hello"), engine.SlowDropNewest)
			}
			turns[engine.Turns(s.Engine, 0)]++
			fed++
			stop = c.Yield()
		}
		return n
	})
	for _, p := range cr.peers[1:] {
		p.Send([]byte("j"))
	}
	cr.until(t, time.Minute, func() bool { return len(conns) == peers-1 })
	cr.peers[0].Send(make([]byte, messages))
	if !cr.until(t, time.Minute, func() bool { return fed == messages }) {
		t.Fatalf("%d messages of %d", fed, messages)
	}
	for turn, n := range turns {
		if n > most {
			t.Errorf("%d messages were sent to all in turn %d", n, turn)
		}
	}
}

// TestLongCallbacksEndTheTurn: peers send small messages, each of which is posted to ten thousand
// others, or takes long in another way. That was counted nowhere, and a turn had up to 1,024 of
// them from each peer.
func TestLongCallbacksEndTheTurn(t *testing.T) {
	const messages, work, most = 200, 300 * time.Microsecond, 8 * time.Millisecond
	for name, peers := range map[string]int{"one": 1, "many": 20} {
		t.Run(name, func(t *testing.T) {
			fed := 0
			cr := newLightOnes(t, peers, engine.Config{}, func(s *simulated, c *engine.Conn, b []byte) (n int) {
				for stop := false; n < len(b) && !stop; n++ {
					s.net.Advance(work)
					fed++
					stop = c.Yield()
				}
				return n
			})
			for _, p := range cr.peers {
				p.Send(make([]byte, messages))
			}
			cr.turns(t, most, 20, func() bool { return fed == peers*messages })
		})
	}
}
