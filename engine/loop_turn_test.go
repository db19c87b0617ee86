package engine_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// flooded is a simulated engine with sockets that answer each datagram with many empty ones.
type flooded struct {
	*simulated
	sockets []*engine.PacketListener
	got     []int // by socket
}

const answersEach = 100

func floodSockets(t *testing.T, sockets int) *flooded {
	f := &flooded{got: make([]int, sockets)}
	f.simulated = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
	for i := range sockets {
		pl, err := f.ListenPacket("udp", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(from engine.PacketAddr, _ []byte) {
				f.got[i]++
				for range answersEach {
					if err := p.WriteTo(nil, from); err != nil {
						t.Error(err)
					}
				}
			}}
		})
		if err != nil {
			t.Fatal(err)
		}
		f.sockets = append(f.sockets, pl)
	}
	f.Step()
	return f
}

// flood fills the queue of socket i.
func (f *flooded) flood(i int) (n int) {
	from := netip.MustParseAddrPort("192.0.2.1:999")
	for range 64 {
		n += f.net.SendPacket(sim.Packet{From: from, To: f.sockets[i].Addr(), Data: []byte{1}})
	}
	return n
}

// TestAnswersToDatagramsAreSpreadOverTurns: a batch of datagrams, each of which makes a handler
// send a hundred, must not keep other peers waiting until all are sent.
func TestAnswersToDatagramsAreSpreadOverTurns(t *testing.T) {
	f := floodSockets(t, 1)
	want := f.flood(0)
	f.net.Advance(time.Second)
	for turns := 0; f.got[0] < want; turns++ {
		before := f.StatsNow().PacketsSent
		f.Step()
		if n := f.StatsNow().PacketsSent - before; n > 3*256+2*answersEach {
			t.Fatalf("%d datagrams are sent in a turn", n)
		}
		if turns == 1000 {
			t.Fatalf("%d of %d datagrams have come", f.got[0], want)
		}
	}
	f.Step()
	if n := f.StatsNow().PacketsSent; n != uint64(want*answersEach) {
		t.Errorf("%d datagrams are sent, want %d", n, want*answersEach)
	}
}

// TestFloodedSocketsTakeTurns: the rest of one socket's batch must not keep out others.
func TestFloodedSocketsTakeTurns(t *testing.T) {
	f := floodSockets(t, 3)
	for range 300 {
		for i := range f.sockets {
			f.flood(i)
		}
		f.Step()
	}
	if least, most := slices.Min(f.got), slices.Max(f.got); least < most/2 {
		t.Errorf("datagrams of each socket: %v", f.got)
	}
}

// TestTasksOfATurnHaveALimitedTime: also those of a single call of Each, which may need a system
// call for every connection.
func TestTasksOfATurnHaveALimitedTime(t *testing.T) {
	const peers, work = 200, 50 * time.Microsecond
	var handles []engine.Handle
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles = append(handles, c.Handle())
		return echoOn(c)
	})
	for range peers {
		s.net.Dial(s.ln.Addr())
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
	n := 0
	err := engine.Each(slices.Values(handles), func(*engine.Conn) {
		n++
		s.net.Advance(work)
	})
	if err != nil {
		t.Fatal(err)
	}
	for n < peers {
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > 2*time.Millisecond {
			t.Fatalf("a turn took %v, %d connections were served", took, n)
		}
	}
	if n > peers {
		t.Errorf("%d calls for %d connections", n, peers)
	}
}

// TestTasksRunBehindLongDeliveries: connections that have more to do in every turn, for longer than
// a turn should take, do not keep tasks from running.
func TestTasksRunBehindLongDeliveries(t *testing.T) {
	var s *simulated
	s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			s.net.Advance(time.Millisecond)
			c.AddWork(1 << 20) // its share
			c.Yield()
			return min(len(b), 1), nil
		}}
	})
	for range 8 {
		s.net.Dial(s.ln.Addr()).Send(make([]byte, 1000))
	}
	s.until(t, time.Second, func() bool { return s.StatsNow().Reads == 8 })
	for range 20 {
		ran := false
		if err := s.Post(0, func() { ran = true }); err != nil {
			t.Fatal(err)
		}
		if s.Step(); !ran {
			s.Step()
		}
		if !ran {
			t.Fatal("a posted function has not run in two turns")
		}
	}
}

// TestTimersOfATurnHaveALimitedTime: thousands of connections may have the same deadline, and
// closing them all takes a while. Others are served in between.
func TestTimersOfATurnHaveALimitedTime(t *testing.T) {
	const peers, work = 200, 50 * time.Microsecond
	for _, test := range []struct {
		name string
		set  func(c *engine.Conn, work func())
	}{
		{"SetTimeout", func(c *engine.Conn, _ func()) { c.SetTimeout(time.Second) }},
		{"SetIdleTimeout", func(c *engine.Conn, _ func()) { c.SetIdleTimeout(time.Second) }},
		{"AfterFunc", func(c *engine.Conn, work func()) { c.AfterFunc(time.Second, work) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := 0
			var s *simulated
			one := func() {
				n++
				s.net.Advance(work)
			}
			s = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				test.set(c, one)
				return &proto{closed: func(error) { one() }}
			})
			for range peers {
				s.net.Dial(s.ln.Addr())
			}
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
			for turns := 0; n < peers; turns++ {
				before := n
				s.Step()
				if took := time.Duration(n-before) * work; took > 2*time.Millisecond {
					t.Fatalf("the timers of a turn took %v, %d have fired", took, n)
				}
				if turns == 100_000 {
					t.Fatalf("%d timers of %d have fired", n, peers)
				}
			}
		})
	}
}

// TestMemoryIsFreedBeforeTasksRun: a loop over its budget closes connections in its next turn,
// however many tasks wait.
func TestMemoryIsFreedBeforeTasksRun(t *testing.T) {
	const budget = 32 << 10 // a turn may exceed it by more before the loop looks
	var reason error
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxBuffered: budget},
		func(c *engine.Conn) engine.Protocol {
			h := new(holding)
			h.feed = func(b []byte) (int, error) {
				h.n = budget * 3 / 2
				c.AddHeld(h.n)
				return len(b), nil
			}
			h.closed = func(err error) {
				c.AddHeld(-h.n)
				reason = err
			}
			return h
		})
	p := s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 1 })
	ran := 0
	for range 5000 {
		if err := s.Post(0, func() { ran++ }); err != nil {
			t.Fatal(err)
		}
	}
	p.Send([]byte("x"))
	s.net.Advance(time.Second)
	for range 3 {
		s.Step()
	}
	if !errors.Is(reason, engine.ErrBufferLimit) || ran == 5000 {
		t.Errorf("closed with %v when %d tasks had run", reason, ran)
	}
}

// holding is a Protocol that holds n bytes.
type holding struct {
	proto
	n int
}

func (h *holding) Held() int { return h.n }

// TestThoseWhoBeginComeBehindOthers: of connections that have not sent their PROXY header, or are
// in the handshake of a layer, a turn serves a few, and all of those that are open.
func TestThoseWhoBeginComeBehindOthers(t *testing.T) {
	const fresh = 200
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
	lc := engine.ListenConfig{Proxy: &engine.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}}
	ln, err := lc.Listen(s.Engine, "tcp", "127.0.0.1:0", echoes)
	if err != nil {
		t.Fatal(err)
	}
	var all []*sim.Peer
	for range fresh {
		all = append(all, s.net.Dial(ln.Addr()))
	}
	open := s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == fresh+1 })
	for _, p := range all {
		p.Send([]byte("PROXY TCP4 "))
	}
	open.Send([]byte("hello"))
	s.net.Advance(time.Second)
	for turns := 0; ; turns++ {
		before := s.StatsNow().Reads
		s.Step()
		n := s.StatsNow().Reads - before
		if n == 0 {
			break
		}
		if n > 17 || turns == fresh {
			t.Fatalf("%d reads in a turn", n)
		}
		s.net.Advance(time.Second / 100)
		if got := string(open.Recv(10)); turns == 0 && got != "hello" {
			t.Errorf("the open connection got %q", got)
		}
	}
	if n := s.StatsNow().Reads; n != fresh+1 {
		t.Errorf("%d reads, want %d", n, fresh+1)
	}
}
