package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestStatsCountWhatHappens(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		return &talker{c}
	})
	for range 3 {
		ask(t, s.dial(t), "hello") // these stay
	}
	for _, text := range []string{"close", "error", "abort", "panic"} {
		c := s.dial(t)
		fmt.Fprint(c, text)
		io.Copy(io.Discard, c)
		c.Close()
	}
	gone := s.dial(t)
	ask(t, gone, "hello")
	gone.Close()
	if err := receive(t, "call", call(s.Engine, "tcp", s.ln.String(), engine.DialConfig{}, "hello")); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "call", call(s.Engine, "unix", t.TempDir()+"/nobody", engine.DialConfig{},
		"hello")); err == nil {
		t.Fatal("somebody answered")
	}
	var got engine.Stats
	eventually(t, "end of the closing connections", func() bool {
		var err error
		if got, err = s.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
		return got.Connections == 3
	})
	want := engine.LoopStats{Connections: 3, Accepted: 9, Dialed: 1, Panics: 1}
	want.Closed[engine.CauseClose] = 2 // by the text, and the caller's end of the call
	want.Closed[engine.CauseProtocol] = 1
	want.Closed[engine.CauseAbort] = 1
	want.Closed[engine.CausePanic] = 1
	want.Closed[engine.CausePeer] = 2 // the one that is gone, and the caller
	if got.Accepted != want.Accepted || got.Dialed != want.Dialed || got.Panics != want.Panics ||
		got.Closed != want.Closed {
		t.Errorf("%+v, want %+v", got.LoopStats, want)
	}
	if got.BytesRead != 3*5+4*5+5+2*5 || got.BytesWritten != 3*5+5+2*5 || got.Reads < 10 || got.Writes < 6 ||
		got.Lag <= 0 {
		t.Errorf("%+v", got.LoopStats)
	}
	if len(got.Loops) != 2 || got.Loops[0].Accepted+got.Loops[1].Accepted != 9 || got.Loops[0].Turns == 0 {
		t.Errorf("%+v", got.Loops)
	}
}

// talker echoes, unless it is told to end in a certain way.
type talker struct{ c *engine.Conn }

func (p *talker) Feed(b []byte) (int, error) {
	switch string(b) {
	case "close":
		p.c.Close()
	case "error":
		return 0, errors.New("as you wish")
	case "abort":
		p.c.Abort()
	case "panic":
		panic("as you wish")
	default:
		p.c.Write(b)
	}
	return len(b), nil
}
func (p *talker) Closed(error) {}

func TestStatsAtAnyTime(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := eng.Stats(t.Context()); err != nil || len(s.Loops) != 2 {
		t.Errorf("before Run: %+v, %v", s, err)
	}
	release, busy := make(chan struct{}), make(chan struct{})
	go eng.Run(context.Background())
	eng.Post(1, func() {
		close(busy)
		<-release
	})
	<-busy
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := eng.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a busy loop: %v", err)
	}
	close(release)
	eng.Close()
	if s, err := eng.Stats(t.Context()); err != nil || s.Loops[0].Turns == 0 {
		t.Errorf("after the end: %+v, %v", s, err)
	}
}

func TestCauseStrings(t *testing.T) {
	seen := map[string]bool{}
	for c := range engine.Causes {
		seen[c.String()] = true
	}
	if len(seen) != int(engine.Causes) || seen[""] || engine.Causes.String() != "Cause(15)" {
		t.Error(seen)
	}
}

// peerClosed is an error that needs no type of package engine to be classified.
type peerClosed bool

func (p peerClosed) Error() string    { return "closed" }
func (p peerClosed) PeerClosed() bool { return bool(p) }

// TestCauseOfPeerClosed: an error that says so counts as the peer's, also where it is wrapped.
func TestCauseOfPeerClosed(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want engine.Cause
	}{
		{name: "peer", err: peerClosed(true), want: engine.CausePeer},
		{name: "wrapped", err: fmt.Errorf("wrapped: %w", peerClosed(true)), want: engine.CausePeer},
		{name: "we", err: peerClosed(false), want: engine.CauseProtocol},
	} {
		s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
			c.CloseWith(test.err)
			return &proto{}
		})
		p := s.net.Dial(s.ln.Addr())
		s.until(t, time.Second, func() bool { return p.EOF() })
		p.Close()
		s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 0 })
		if got := s.StatsNow().Closed[test.want]; got != 1 {
			t.Errorf("%s: %v", test.name, s.StatsNow().Closed)
		}
	}
}
