package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// answering makes a Protocol that answers each byte with size bytes.
func answering(c *engine.Conn, size int, fed func()) engine.Protocol {
	answer := make([]byte, size)
	return &proto{feed: func(b []byte) (n int, err error) {
		for n < len(b) {
			n++
			fed()
			if _, err := c.Write(answer); err != nil {
				return n, err
			}
			if c.Yield() {
				break
			}
		}
		return n, nil
	}}
}

// TestManyLargeAnswersWaitForThePeer: a thousand small requests come in one read, and each has a
// large answer. All answers were queued at once, and the connection closed with ErrOutboundLimit,
// however fast its peer was.
func TestManyLargeAnswersWaitForThePeer(t *testing.T) {
	const requests, size, high = 1000, 32 << 10, 64 << 10
	var c *engine.Conn
	most := 0
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, HighWater: high, MaxOutbound: 1 << 20, Logger: quiet},
		func(conn *engine.Conn) engine.Protocol {
			c = conn
			return answering(c, size, func() { most = max(most, c.Outbound()) })
		})
	p := s.net.Dial(s.ln.Addr())
	p.Send(make([]byte, requests))
	got := 0
	if !s.until(t, time.Hour, func() bool {
		got += len(p.Recv(1 << 20))
		return got >= requests*size
	}) {
		t.Fatalf("%d bytes came, of %d", got, requests*size)
	}
	if most > high+size {
		t.Errorf("%d bytes waited for the peer when it was answered", most)
	}
}

// TestAnswersCountForTheTurn: a peer takes large answers as fast as they are written. They were all
// written in one turn, while other connections waited.
func TestAnswersCountForTheTurn(t *testing.T) {
	const requests, size, share = 1000, 32 << 10, 256 << 10
	turns := make(map[uint64]int)
	var s *simulated
	s = onSim(t, sim.Config{Seed: 1, Buffer: 2 * requests * size},
		engine.Config{Loops: 1, TurnBytes: share, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			return answering(c, size, func() { turns[engine.Turns(s.Engine, 0)]++ })
		})
	p := s.net.Dial(s.ln.Addr())
	p.Send(make([]byte, requests))
	got := 0
	if !s.until(t, time.Hour, func() bool {
		got += len(p.Recv(1 << 20))
		return got >= requests*size
	}) {
		t.Fatalf("%d bytes came, of %d", got, requests*size)
	}
	for turn, n := range turns {
		if n > share/size {
			t.Errorf("%d answers in turn %d, want at most %d", n, turn, share/size)
		}
	}
}

// TestLongQueueIsWrittenInParts: a peer has let many messages wait, and then takes them at once.
// They were all written in one turn, while other connections waited.
func TestLongQueueIsWrittenInParts(t *testing.T) {
	const messages, size, buffer, most = 2000, 10 << 10, 4 << 20, 2 << 20
	message := make([]byte, size)
	s := onSim(t, sim.Config{Seed: 1, Buffer: buffer}, engine.Config{Loops: 1, MaxOutbound: 2 * messages * size,
		WriteTimeout: -1, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			return &proto{feed: func(b []byte) (int, error) {
				for range messages {
					c.WriteShared(message, engine.SlowWait)
				}
				return len(b), nil
			}}
		})
	p := s.net.Dial(s.ln.Addr())
	p.Send([]byte("x"))
	if !s.until(t, time.Second, func() bool { return s.StatsNow().BytesWritten >= buffer }) {
		t.Fatal("nothing was written")
	}
	got, worst, last := 0, uint64(0), s.StatsNow().BytesWritten
	if !s.until(t, time.Hour, func() bool {
		now := s.StatsNow().BytesWritten
		worst, last = max(worst, now-last), now
		got += len(p.Recv(buffer))
		return got >= messages*size
	}) {
		t.Fatalf("%d bytes came, of %d", got, messages*size)
	}
	if worst > most {
		t.Errorf("%d bytes were written in a turn, want at most %d", worst, most)
	}
}

// TestFloodThatEndsInFeed: Yield stops a Feed whose peer is over the high watermark, and then the
// Feed drops what waits. What it has left is offered all the same.
func TestFloodThatEndsInFeed(t *testing.T) {
	const buffer, high = 64 << 10, 16 << 10
	fed := 0
	s := onSim(t, sim.Config{Seed: 1, Buffer: buffer},
		engine.Config{Loops: 1, HighWater: high, WriteTimeout: -1, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			return &proto{feed: func(b []byte) (n int, err error) {
				for n < len(b) {
					n++
					fed++
					if fed == 1 {
						c.SetWatermarks(1<<20, 0)
						for range 4 * buffer >> 10 { // more than the kernel takes
							c.WriteShared(make([]byte, 1<<10), engine.SlowDropOldest)
						}
						c.SetWatermarks(0, 0)
					}
					if c.Yield() {
						c.SetWatermarks(1, 0)
						c.WriteShared(make([]byte, 1<<10), engine.SlowDropOldest)
						c.SetWatermarks(0, 0)
						break
					}
				}
				return n, nil
			}}
		})
	p := s.net.Dial(s.ln.Addr())
	p.Send([]byte("ab"))
	if !s.until(t, time.Minute, func() bool { return fed == 2 }) {
		t.Errorf("%d bytes of 2 were fed", fed)
	}
}
