package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// simulated is an engine on a benign simulated network, for rules that are about time.
type simulated struct {
	*engine.Engine
	net *sim.Network
	ln  *engine.Listener
}

func onSim(t *testing.T, n sim.Config, c engine.Config, accept func(*engine.Conn) engine.Protocol) *simulated {
	t.Helper()
	s := &simulated{net: sim.New(n)}
	var err error
	if s.Engine, err = engine.NewOn(s.net, c); err != nil {
		t.Fatal(err)
	}
	if s.ln, err = s.Listen("tcp", "127.0.0.1:0", accept); err != nil {
		t.Fatal(err)
	}
	return s
}

// until turns the loops until cond holds, for at most d of simulated time; invariants hold after
// each turn.
func (s *simulated) until(t *testing.T, d time.Duration, cond func() bool) bool {
	t.Helper()
	begin := s.net.Now()
	for turns := 0; s.net.Now()-begin <= d && turns < 1e6; turns++ {
		if cond() {
			return true
		}
		s.Step()
		if err := errors.Join(s.Check(), s.net.Check()); err != nil {
			t.Fatal(err)
		}
	}
	return false
}

// flood writes so much at once that the peer's and the kernel's buffers cannot hold it.
func flood(c *engine.Conn, reason *error) engine.Protocol {
	c.AfterFunc(time.Millisecond, func() { c.Write(make([]byte, 1<<20)) })
	return &proto{
		feed:   func(b []byte) (int, error) { return len(b), nil },
		closed: func(err error) { *reason = err },
	}
}

// TestPeerThatTakesNothingIsClosed, and one that takes a little now and then is not.
func TestPeerThatTakesNothingIsClosed(t *testing.T) {
	const timeout = 30 * time.Second
	for _, slow := range []bool{false, true} {
		var reason error
		s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, WriteTimeout: timeout},
			func(c *engine.Conn) engine.Protocol { return flood(c, &reason) })
		p := s.net.Dial(s.ln.Addr())
		if !slow {
			if !s.until(t, timeout*9/8+time.Second, func() bool { return reason != nil }) {
				t.Fatal("the peer was not closed")
			}
			var unsent *engine.UnsentError
			if !errors.Is(reason, engine.ErrWriteStall) || !errors.As(reason, &unsent) || unsent.Bytes < 500_000 {
				t.Fatalf("reason %v", reason)
			}
			if s.net.Now() < timeout {
				t.Fatalf("closed after %v already", s.net.Now())
			}
			continue
		}
		got := 0
		for got < 300_000 {
			if s.until(t, timeout/2, func() bool { return reason != nil }) {
				t.Fatalf("a slow peer was closed after %d bytes: %v", got, reason)
			}
			got += len(p.Recv(5000)) // many of these make the kernel take more from us
		}
	}
}

// TestIdleTimeoutDoesNotRunWhileWeDoNotRead: that nothing arrives from a peer that is throttled is
// our own doing.
func TestIdleTimeoutDoesNotRunWhileWeDoNotRead(t *testing.T) {
	var reason error
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.SetIdleTimeout(time.Second)
		return flood(c, &reason)
	})
	p := s.net.Dial(s.ln.Addr())
	if s.until(t, 60*time.Second, func() bool { return reason != nil }) {
		t.Fatalf("closed while throttled: %v", reason)
	}
	if !s.until(t, 60*time.Second, func() bool { p.Recv(1 << 20); return reason != nil }) ||
		!errors.Is(reason, engine.ErrIdleTimeout) {
		t.Fatalf("after the peer has read all: %v", reason)
	}
}

// TestOneConnectionsMessagesDoNotStarveTheOthers: two flooders take turns, nothing is lost or out
// of order, and what waits for its turn does not count as input that the Protocol left.
func TestOneConnectionsMessagesDoNotStarveTheOthers(t *testing.T) {
	const share, messages = 10, 3000
	var order []int
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, TurnMessages: share, MaxInbound: 100},
		func(c *engine.Conn) engine.Protocol {
			next := byte(0)
			return &proto{
				feed: func(b []byte) (n int, err error) {
					for n < len(b) {
						if b[n] != next {
							t.Fatalf("message %d came in the place of %d", b[n], next)
						}
						next++
						n++
						order = append(order, int(c.RemoteAddr().Port()))
						if c.Yield() {
							break
						}
					}
					return n, nil
				},
				closed: func(err error) {
					if !errors.Is(err, engine.ErrPeerClosed) && err != nil {
						t.Errorf("closed: %v", err)
					}
				},
			}
		})
	all := make([]byte, messages)
	for i := range all {
		all[i] = byte(i)
	}
	peers := []*sim.Peer{s.net.Dial(s.ln.Addr()), s.net.Dial(s.ln.Addr())}
	for _, p := range peers {
		if n := p.Send(all); n != len(all) {
			t.Fatalf("only %d bytes were sent", n)
		}
	}
	if !s.until(t, time.Minute, func() bool { return len(order) == 2*messages }) {
		t.Fatalf("%d of %d messages", len(order), 2*messages)
	}
	longest, run := 0, 0
	for i := range order[:messages] {
		if i > 0 && order[i] == order[i-1] {
			run++
		} else {
			run = 1
		}
		longest = max(longest, run)
	}
	if longest > 3*share {
		t.Errorf("one connection had %d messages in a row, its share of a turn is %d", longest, share)
	}
}

// TestInputDoesNotGrowWhileMessagesWaitForTheirTurn: what cannot be delivered yet is left to the
// kernel.
func TestInputDoesNotGrowWhileMessagesWaitForTheirTurn(t *testing.T) {
	const turn = 8 << 10
	got := 0
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, TurnMessages: 10, TurnBytes: turn},
		func(c *engine.Conn) engine.Protocol {
			return &proto{feed: func(b []byte) (n int, err error) {
				for n < len(b) {
					n++
					got++
					if c.Yield() {
						break
					}
				}
				return n, nil
			}}
		})
	p := s.net.Dial(s.ln.Addr())
	sent := p.Send(make([]byte, 64<<10))
	if !s.until(t, time.Minute, func() bool {
		if n := s.Buffered(); n > 2*turn {
			t.Fatalf("%d bytes are buffered for a connection that may read %d in a turn", n, turn)
		}
		return got == sent
	}) {
		t.Fatalf("%d of %d messages", got, sent)
	}
}

// TestAllBuffersTogetherAreBounded: holders of large buffers are closed, oldest first; small ones
// stay.
func TestAllBuffersTogetherAreBounded(t *testing.T) {
	const most = 2 << 20
	reasons := make(chan error, 1000)
	s := serve(t, engine.Config{Loops: 2, MaxBuffered: most}, func(c *engine.Conn) engine.Protocol {
		return &proto{
			feed: func(b []byte) (int, error) {
				if bytes.IndexByte(b, '!') < 0 {
					return 0, nil
				}
				c.Write(b)
				return len(b), nil
			},
			closed: func(err error) { reasons <- err },
		}
	})
	small := s.dial(t)
	io.WriteString(small, "half a mess")
	big := strings.Repeat("x", 60_000)
	for range 100 {
		io.WriteString(s.dial(t), big)
	}
	for range 60 {
		if err := receive(t, "closed connection", reasons); !errors.Is(err, engine.ErrBufferLimit) {
			t.Fatalf("reason %v", err)
		}
	}
	eventually(t, "buffers below the limit", func() bool { return stats(t, s.Engine).Buffered <= most })
	io.WriteString(small, "age!")
	b := make([]byte, 15)
	if _, err := io.ReadFull(small, b); err != nil || string(b) != "half a message!" {
		t.Fatalf("the small one: %q, %v", b, err)
	}
}

// TestBudgetSparesWhoHoldsSharedMessages: a message counts once however many have it, and to close
// them would set nothing free.
func TestBudgetSparesWhoHoldsSharedMessages(t *testing.T) {
	const most = 8 << 20
	shared := bytes.Repeat([]byte("shared"), 1<<20)
	reasons := make(chan error, 1000)
	s := serve(t, engine.Config{Loops: 1, MaxBuffered: most}, func(c *engine.Conn) engine.Protocol {
		return &proto{
			feed: func(b []byte) (int, error) {
				if b[0] != '!' {
					return 0, nil
				}
				c.WriteShared(shared, engine.SlowWait)
				return len(b), nil
			},
			closed: func(err error) { reasons <- err },
		}
	})
	var readers []net.Conn
	for range 5 {
		c := s.dial(t)
		io.WriteString(c, "!")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // and no more
			t.Fatal(err)
		}
		readers = append(readers, c)
	}
	for range 120 {
		io.WriteString(s.dial(t), strings.Repeat("x", 60_000))
	}
	for range 40 {
		if err := receive(t, "closed connection", reasons); !errors.Is(err, engine.ErrBufferLimit) {
			t.Fatalf("reason %v", err)
		}
	}
	for _, c := range readers {
		if n, err := io.ReadFull(c, make([]byte, len(shared)-1)); err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(shared)-1, err)
		}
	}
}

// TestSendToABlockedLoopIsBounded: Send says so when the loop does not keep up, and what it
// accepted arrives.
func TestSendToABlockedLoopIsBounded(t *testing.T) {
	const most = 100_000
	handles, blocked, release := make(chan engine.Handle, 1), make(chan bool), make(chan bool)
	s := serve(t, engine.Config{Loops: 1, MaxPosted: most}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	c := s.dial(t)
	h := receive(t, "connection", handles)
	h.Post(func(*engine.Conn) {
		blocked <- true
		<-release
	})
	receive(t, "blocked loop", blocked)
	accepted := 0
	var err error
	for err == nil && accepted <= most {
		if err = h.Send(make([]byte, 1000)); err == nil {
			accepted += 1000
		}
	}
	// With each Send the limit counts what it costs besides its bytes.
	if !errors.Is(err, engine.ErrBusy) || accepted > most || accepted < most/4 {
		t.Errorf("Send accepted %d bytes for a loop that is blocked: %v", accepted, err)
	}
	if err := h.PostBytes(1, make([]byte, 1000)); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("PostBytes: %v", err)
	}
	close(release)
	if n, err := io.ReadFull(c, make([]byte, accepted)); err != nil {
		t.Fatalf("%d of %d bytes arrived: %v", n, accepted, err)
	}
	if err := h.Send([]byte("again")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := h.Send(make([]byte, 2*most)); err != nil { // alone, it may be larger than the limit
		t.Errorf("a large one: %v", err)
	}
}
