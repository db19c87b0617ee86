package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// slowReader takes a part of its receive buffer now and then, but in time.
type slowReader struct {
	p      *sim.Peer
	rng    *rand.Rand
	want   int
	got    int
	last   time.Duration // when it has read last
	net    *sim.Network
	closed bool
	err    error
}

func (s *slowReader) step() {
	if s.net.Now()-s.last > time.Second || s.rng.IntN(50) == 0 {
		s.last = s.net.Now()
		b := s.p.Recv(1 + s.p.Room()/8)
		if !isPattern(b, s.got) {
			s.err = fmt.Errorf("from byte %d on it got something else (%x)", s.got, b)
		}
		s.got += len(b)
	}
	if s.p.EOF() && !s.closed {
		s.closed = true
		s.p.Close()
	}
}

// TestSimulatedSlowReaders: after Close, a peer that reads slowly but steadily gets everything,
// however many times the linger time that takes; then the connection has ended in order. One that
// stops reading is given up in bounded time.
func TestSimulatedSlowReaders(t *testing.T) { simulate(t, seeds(t), slowReaders) }

func slowReaders(tr *trial) error {
	const linger, peers = 4 * time.Second, 3
	rng := rand.New(rand.NewPCG(tr.seed, 19))
	faults := sim.DrawFaults(tr.seed).Lossless()
	faults.Jump, faults.Stop = 0, 0 // the readers would be late
	buffer := 1 << rng.IntN(13)
	net := tr.network(sim.Config{Faults: faults, Buffer: buffer, Completion: tr.seed%4 == 1})
	size := 4*buffer + rng.IntN(6*buffer)
	ended, reasons := 0, [peers]error{}
	eng, err := engine.NewOn(net, engine.Config{Loops: 1, Linger: linger, MaxLinger: 100 * time.Hour})
	if err != nil {
		return err
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		b := make([]byte, size)
		fillPattern(b, 0)
		c.Write(b)
		c.Close()
		i := int(c.RemoteAddr().Port()) % peers
		return &proto{
			feed:   func(b []byte) (int, error) { return len(b), nil },
			closed: func(err error) { ended, reasons[i] = ended+1, err },
		}
	})
	if err != nil {
		return err
	}
	if err := metronome(net, eng); err != nil {
		return err
	}
	var readers []*slowReader
	for range peers {
		readers = append(readers, &slowReader{p: net.Dial(ln.Addr()), rng: rng, net: net, want: size})
	}
	for turn := 0; ended < peers; turn++ {
		for _, r := range readers {
			if r.step(); r.err != nil {
				return r.err
			}
		}
		eng.Step()
		if err := eng.Check(); err != nil {
			return err
		}
		if turn > 1e6 {
			return fmt.Errorf("%d of %d connections have ended", ended, peers)
		}
	}
	for i, r := range readers {
		if reason := reasons[int(r.p.Local().Port())%peers]; r.got != r.want || reason != nil {
			return fmt.Errorf("reader %d got %d of %d bytes; the reason: %v; after %v", i, r.got, r.want, reason,
				net.Now())
		}
	}
	return stoppedReader(tr, rng.IntN(2) == 0)
}

// metronome keeps a timer running, so that the simulated clock makes no leaps in which a reader
// cannot read.
func metronome(net *sim.Network, eng *engine.Engine) error {
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		var tick func()
		tick = func() { c.AfterFunc(200*time.Millisecond, tick) }
		tick()
		return &proto{feed: func(b []byte) (int, error) { return len(b), nil }}
	})
	if err == nil {
		net.Dial(ln.Addr())
	}
	return err
}

// stoppedReader: what never moves is given up within twice the linger time, and what moves for ever
// within MaxLinger.
func stoppedReader(tr *trial, moves bool) error {
	const linger, most = 8 * time.Second, time.Minute
	net := sim.New(sim.Config{Seed: tr.seed, Buffer: 4 << 10})
	var reason error
	var begin, end time.Duration
	eng, err := engine.NewOn(net, engine.Config{Loops: 1, Linger: linger, MaxLinger: most})
	if err != nil {
		return err
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		c.Write(make([]byte, 64<<10))
		c.Close()
		begin = net.Now()
		return &proto{
			feed:   func(b []byte) (int, error) { return len(b), nil },
			closed: func(err error) { reason, end = err, net.Now() },
		}
	})
	if err != nil {
		return err
	}
	if err := metronome(net, eng); err != nil {
		return err
	}
	p, limit := net.Dial(ln.Addr()), linger*3/2
	if moves {
		limit = most + linger
	}
	for last := net.Now(); reason == nil; {
		if now := net.Now(); moves && now-last > linger/4 {
			p.Recv(p.Room() / 4)
			last = now
		}
		eng.Step()
		if net.Now() > limit {
			return fmt.Errorf("a reader that moves: %v, was not given up in %v", moves, limit)
		}
	}
	if moves && end-begin < most {
		return fmt.Errorf("a reader that moves was given up after %v: %w", end-begin, reason)
	}
	return nil
}
