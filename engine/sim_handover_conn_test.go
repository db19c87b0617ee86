package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/saved"
)

// handoverPatience are values of Handover.Patience.
var handoverPatience = []time.Duration{-1, 0, 5 * time.Millisecond, time.Minute}

// handedEcho is a tcpEcho that can move to another engine.
type handedEcho struct {
	*tcpEcho
	h      *handing
	engine *engine.Engine
	port   uint16
	number int    // in handing.echoes
	rest   []byte // what Feed has not consumed
	ahead  int    // bytes of rest that were written while the connection was frozen
	late   int    // the same, since Save
	ended  bool   // by endLate
	paused bool   // a timer that does not move resumes
	posted int    // functions, while it was frozen
	ran    int    // of them
}

func (h *handing) newEcho(c *engine.Conn) *handedEcho {
	e := &handedEcho{tcpEcho: newTCPEcho(h.r, c), h: h, engine: c.Engine(), port: c.RemoteAddr().Port(),
		number: len(h.echoes)}
	h.echoes = append(h.echoes, e)
	return e
}

func (e *handedEcho) Feed(b []byte) (int, error) {
	if k := min(len(b), len(e.rest)); !bytes.Equal(b[:k], e.rest[:k]) {
		e.h.r.err = fmt.Errorf("Feed begins with something else than the rest (%x, %x)", b, e.rest)
	}
	k := min(e.ahead, len(b))
	e.ahead -= k
	n := k
	if k < len(b) {
		offered := b[k:]
		if e.rng.IntN(4) == 0 { // the rest may move
			offered = offered[:e.rng.IntN(len(offered))]
			e.pause()
		}
		m, _ := e.tcpEcho.Feed(offered)
		n += m
	}
	e.rest = append(e.rest[:0], b[n:]...)
	switch e.rng.IntN(8) {
	case 1:
		e.conn.AfterFunc(0, func() { e.called("a timer") }).LeaveBehind()
	case 2:
		high := 1 << (6 + e.rng.IntN(11))
		e.conn.SetWatermarks(high, e.rng.IntN(high))
	case 3:
		e.conn.SetTimeout(2 * linger)
	case 4:
		if !e.paused {
			e.move()
		}
	}
	return n, nil
}

// move goes to any loop, also to one that has given away all that it had.
func (e *handedEcho) move() {
	e.conn.MoveTo(e.rng.IntN(e.engine.Loops()), func(c *engine.Conn) engine.Protocol {
		if c == nil {
			return nil
		}
		next := e.h.newEcho(c)
		next.rng, next.ahead = e.rng, e.ahead
		next.rest = append(next.rest, e.rest...)
		return next
	})
}

func (e *handedEcho) pause() {
	e.conn.PauseRead()
	e.paused = true
	e.conn.AfterFunc(time.Duration(e.rng.IntN(50))*time.Millisecond, func() {
		e.paused = false
		e.conn.ResumeRead()
	}).LeaveBehind()
}

// Shutdown implements engine.Shutdowner.
func (e *handedEcho) Shutdown() {
	e.called("Shutdown")
	e.conn.CloseWith(engine.ErrShutdown)
}

// cut notes that the client must not expect everything.
func (e *handedEcho) cut() { e.h.cut[e.port]++ }

// Expired implements engine.Expirer. The simulated clock jumps ahead when all wait.
func (e *handedEcho) Expired() { e.cut() }

// Save implements engine.Saver.
func (e *handedEcho) Save(c *engine.Conn, dst []byte) ([]byte, error) {
	e.called("Save")
	e.late = 0
	switch e.rng.IntN(60) {
	case 0:
		e.cut()
		panic("in Save")
	case 1:
		e.cut()
		c.Close()
	case 2, 3:
		return dst, errors.New("not now")
	case 4:
		return append(dst, "something"...), saved.Unmovable("test")
	case 5:
		c.Write(nil)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.number))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.ahead))
	paused := byte(0)
	if e.paused {
		paused = 1
	}
	dst = append(dst, paused)
	e.h.frozen++
	return append(dst, make([]byte, e.rng.IntN(2000))...), nil
}

// load is the Loader.
func (h *handing) load(c *engine.Conn, state []byte) (engine.Protocol, error) {
	if len(state) < 9 {
		return nil, fmt.Errorf("a state of %d bytes", len(state))
	}
	old := h.echoes[binary.BigEndian.Uint32(state)]
	switch h.rng.IntN(100) {
	case 0:
		h.cut[old.port]++
		return nil, errors.New("not this one")
	case 1:
		h.cut[old.port]++
		return nil, nil
	case 2:
		h.cut[old.port]++
		panic("in Load")
	}
	e := h.newEcho(c)
	e.rng, e.port = old.rng, old.port
	e.ahead = int(binary.BigEndian.Uint32(state[4:]))
	e.rest = append(e.rest, old.rest...)
	if state[8] != 0 {
		e.pause()
	}
	return e, nil
}

// frozen is what happens to a connection while it is frozen.
func (e *handedEcho) frozen(rng *rand.Rand) {
	switch rng.IntN(24) {
	case 0, 1, 2:
		e.writeAhead(rng)
	case 3, 4:
		if e.conn.Handle().Post(func(*engine.Conn) { e.ran++ }) == nil {
			e.posted++
		}
	case 6:
		handles := slices.Values([]engine.Handle{e.conn.Handle()})
		if engine.Each(handles, func(*engine.Conn) { e.ran++ }) == nil {
			e.posted++
		}
	case 5:
		e.conn.PauseRead()
		e.conn.ResumeRead()
		e.paused = false
	case 7:
		e.conn.AfterFunc(0, func() { e.writeAhead(rng) })
	case 8:
		e.endLate(rng)
	}
}

// endLate ends the connection, unless it turns out that the other engine has it.
func (e *handedEcho) endLate(rng *rand.Rand) {
	if !e.ended {
		e.ended = true
		e.cut()
	}
	e.end(rng)
}

func (e *handedEcho) end(rng *rand.Rand) {
	switch rng.IntN(3) {
	case 0:
		e.conn.Abort()
	case 1:
		e.conn.Close()
	case 2:
		e.conn.CloseWith(errors.New("test"))
	}
}

// writeAhead sends back what was read and is not consumed.
func (e *handedEcho) writeAhead(rng *rand.Rand) {
	if left := e.rest[min(e.ahead, len(e.rest)):]; len(left) > 0 {
		k := 1 + rng.IntN(len(left))
		i := rng.IntN(k + 1)
		if _, err := e.conn.Writev(left[:i], left[i:k]); err == nil {
			e.ahead += k
			e.late += k
		}
	}
}

func (e *handedEcho) Closed(err error) {
	e.tcpEcho.Closed(err)
	if errors.Is(err, engine.ErrHandedOver) {
		e.h.told++
		if e.ended {
			e.h.cut[e.port]--
		}
		var unsent *engine.UnsentError
		if errors.As(err, &unsent) != (e.late > 0) || e.late > 0 && !e.h.r.layered && unsent.Bytes != e.late {
			e.h.r.err = fmt.Errorf("Closed has %w (%d bytes were written late)", err, e.late)
		}
	}
	if e.rng.IntN(30) == 0 { // its descriptor is closed in the next turn
		e.h.panicked = true
		panic("in Closed")
	}
}

// cuts reports whether the server has ended the connection of a client.
func (h *handing) cuts(port uint16) bool {
	return h != nil && (h.cut[port] > 0 || h.quitting)
}

// handedClient is a tcpClient of a server that may end connections.
type handedClient struct {
	*tcpClient
	h *handing
}

func (c *handedClient) fail() error {
	if c.h.cuts(c.p.Local().Port()) || c.r.net.Now() >= linger {
		return c.err
	}
	return c.tcpClient.fail()
}

// Save implements layer.Saver.
func (s *toyStream) Save(dst []byte) ([]byte, error) {
	if s.err != nil || s.rng.IntN(20) == 0 {
		return dst, saved.Unmovable("test")
	}
	h := s.run.hand
	h.streams = append(h.streams, s)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(h.streams)-1))
	ended := byte(0)
	if s.ended {
		ended = 1
	}
	return append(dst, s.in, s.out, byte(s.answers), ended), nil
}

// Load implements layer.Loader.
func (y toyLayer) Load(state []byte, _ *any) (layer.Stream, error) {
	if len(state) != 8 {
		return nil, saved.ErrMalformed
	}
	rng := y.r.hand.streams[binary.BigEndian.Uint32(state)].rng
	s := &toyStream{run: y.r, rng: rng, in: state[4], out: state[5], answers: int(state[6])}
	s.ended = state[7] != 0
	return s, nil
}

func (toyLayer) SaveKeys(dst []byte) []byte { return dst }
func (toyLayer) LoadKeys([]byte) error      { return nil }

// TestSimulatedHandover: connections go from engine to engine and back in the middle of everything,
// or stay because the handover breaks, and every byte comes back once, in order, with and without a
// layer, and behind a proxy.
func TestSimulatedHandover(t *testing.T) {
	simulate(t, seeds(t), func(tr *trial) error {
		s := scenario{handing: true, layered: tr.seed%2 == 0, proxied: tr.seed%5 == 0}
		s.accept = func(r *run) func(*engine.Conn) engine.Protocol {
			return func(c *engine.Conn) engine.Protocol { return r.hand.newEcho(c) }
		}
		s.client = func(r *run, rng *rand.Rand) client {
			return &handedClient{newTCPClient(r, rng).(*tcpClient), r.hand}
		}
		s.ended = func(r *run) error {
			for _, ln := range r.hand.lns {
				if n := engine.Counted(ln); n != 0 {
					return fmt.Errorf("%d connections are counted", n)
				}
			}
			return nil
		}
		return s.run(tr)
	})
}
