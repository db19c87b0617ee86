package engine_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// mute is a layer without a handshake that seals nothing after an error of Open, like a tls.Conn.
type mute struct {
	toyStream
	notify func()
}

var errMute = errors.New("mute")

func (b *mute) Open(p []byte, plain int) (from, to, end int, err error) {
	if len(p) > plain {
		b.err = errMute
	}
	return 0, plain, plain, b.err
}

func (b *mute) Seal(dst, p []byte) []byte {
	if b.err != nil {
		return dst
	}
	return append(dst, p...)
}

func (b *mute) SealEnd(dst []byte) []byte { return dst }
func (b *mute) Work() (int, bool)         { return 0, false }

type muteLayer struct{}

func (muteLayer) Begin(_, _ net.Addr, notify func()) layer.Handshake {
	notify()
	return &muteHandshake{mute: mute{notify: notify}}
}
func (muteLayer) Timeout() time.Duration { return time.Hour }

type muteHandshake struct{ mute mute }

func (h *muteHandshake) Feed([]byte) (int, error)           { return 0, nil }
func (h *muteHandshake) ReadClosed() bool                   { return false }
func (h *muteHandshake) Output(dst []byte) []byte           { return dst }
func (h *muteHandshake) Done() (bool, error)                { return true, nil }
func (h *muteHandshake) Stream(*any) (layer.Stream, []byte) { return &h.mute, nil }
func (h *muteHandshake) Cancel(error)                       {}

// TestQueueOfABrokenLayerGoesBackInParts: what waited for a peer whose records are wrong was put
// back at once. 100,000 messages took 10 ms.
func TestQueueOfABrokenLayerGoesBackInParts(t *testing.T) {
	const messages = 20_000
	var conn *engine.Conn
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, echoes)
	ln, err := engine.ListenConfig{Layer: muteLayer{}}.Listen(s.Engine, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol {
			conn = c
			c.SetWatermarks(8<<20, 0) // or it is not read from
			return &proto{feed: func(b []byte) (int, error) { return len(b), nil }, closed: func(error) {}}
		})
	if err != nil {
		t.Fatal(err)
	}
	peer := s.net.Dial(ln.Addr())
	s.until(t, time.Second, func() bool { return conn != nil })
	s.InTurn(0, func() {
		b := make([]byte, 100)
		for range messages {
			conn.WriteShared(b, engine.SlowWait)
		}
	})
	s.Step()
	peer.Send([]byte("wrong"))
	for out := engine.ChunksOut(conn); out > 0; {
		before := out
		peer.Recv(1 << 20)
		s.Step()
		if out = engine.ChunksOut(conn); before-out > 4000 {
			t.Fatalf("%d chunks go back in a turn", before-out)
		}
	}
}
