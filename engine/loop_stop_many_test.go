package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestTasksOfAShutdownHaveALimitedTime: a turn ran up to 256 of them, however long they took, from
// the call of Shutdown until the last connection had ended.
func TestTasksOfAShutdownHaveALimitedTime(t *testing.T) {
	const tasks, work, most = 256, 100 * time.Microsecond, 2 * time.Millisecond
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1},
		func(*engine.Conn) engine.Protocol { return stays{} })
	s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 1 })
	s.BeginShutdown()
	s.Step()
	ran := 0
	for range tasks {
		s.Post(0, func() {
			ran++
			s.net.Advance(work)
		})
	}
	for ran < tasks {
		begin := s.net.Now()
		s.Step()
		if took := s.net.Now() - begin; took > most {
			t.Fatalf("a turn took %v, %d tasks have run", took, ran)
		}
	}
}

// TestBacklogIsAcceptedInParts: at shutdown all that waited in a backlog was accepted in one turn,
// up to 4,096 connections, while those that were still served waited.
func TestBacklogIsAcceptedInParts(t *testing.T) {
	const peers, most = 1000, 200
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
	s.Step()
	var all []*sim.Peer
	for range peers {
		all = append(all, s.net.Dial(s.ln.Addr()))
	}
	s.BeginShutdown()
	for turns := 0; ; turns++ {
		before := s.StatsNow().Accepted
		live := s.Step()
		if n := s.StatsNow().Accepted - before; n > most {
			t.Fatalf("%d connections were accepted in a turn", n)
		}
		for _, p := range all {
			p.CloseWrite()
		}
		if !live {
			break
		}
		if turns == 10*peers {
			t.Fatal("the engine does not end")
		}
	}
	if n := s.StatsNow(); n.Accepted != peers || n.Closed[engine.CauseShutdown] != peers {
		t.Errorf("%d of %d peers were accepted, and ended by: %v", n.Accepted, peers, n.Closed)
	}
}

// slowFins is a network where a FIN takes its time, as it does.
type slowFins struct {
	*sim.Network
	work time.Duration
}

func (n *slowFins) Open() (driver.Poller, driver.Sockets, error) {
	p, s, err := n.Network.Open()
	return p, slowFinSockets{s, n}, err
}

type slowFinSockets struct {
	driver.Sockets
	n *slowFins
}

func (s slowFinSockets) CloseWrite(fd int) error {
	s.n.Advance(s.n.work)
	return s.Sockets.CloseWrite(fd)
}

// TestManyThatAreClosedLeaveRoomForOthers: one call may close thousands of connections. All their
// FINs went out in that turn: 5,000 took 90 ms.
func TestManyThatAreClosedLeaveRoomForOthers(t *testing.T) {
	const peers, work, most = 2000, 20 * time.Microsecond, 6 * time.Millisecond
	for _, test := range []struct {
		name string
		end  func(c *engine.Conn)
	}{
		{"Close", (*engine.Conn).Close},
		{"CloseWrite", (*engine.Conn).CloseWrite},
		{"Write and Close", func(c *engine.Conn) {
			c.Write([]byte("bye"))
			c.Close()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := &slowFins{sim.New(sim.Config{Seed: 1}), work}
			eng, err := engine.NewOn(n, engine.Config{Loops: 1, Linger: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			var conns []*engine.Conn
			ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
				conns = append(conns, c)
				return &proto{feed: func(b []byte) (int, error) { return len(b), nil }}
			})
			if err != nil {
				t.Fatal(err)
			}
			var all []*sim.Peer
			for range peers {
				all = append(all, n.Dial(ln.Addr()))
			}
			for len(conns) < peers {
				eng.Step()
			}
			eng.Post(0, func() {
				for _, c := range conns {
					test.end(c)
				}
			})
			ended := func() (k int) {
				for _, p := range all {
					p.Recv(10)
					if p.EOF() {
						k++
					}
				}
				return k
			}
			used := 0
			for turns := 0; ended() < peers; turns++ {
				begin := n.Now()
				eng.Step()
				if took := n.Now() - begin; took > most {
					t.Fatalf("turn %d took %v", turns, took)
				}
				used = max(used, eng.Memory())
				if err := eng.Check(); err != nil {
					t.Fatal(err)
				}
				if turns == peers {
					t.Fatalf("the FINs of %d peers do not come", peers-ended())
				}
			}
			if used > 16<<20 {
				t.Errorf("%d MiB were used", used>>20)
			}
			eng.BeginClose()
			for eng.Step() {
			}
		})
	}
}

// TestManyAreToldOfAShutdownInParts: a turn told 256 connections, however long that took, and all
// that were being dialled.
func TestManyAreToldOfAShutdownInParts(t *testing.T) {
	const peers, work, most = 500, 50 * time.Microsecond, 2 * time.Millisecond
	var s *simulated
	told := 0
	one := func() {
		told++
		s.net.Advance(work)
	}
	for _, test := range []struct {
		name  string
		begin func()
	}{
		{"connections", func() {
			for range peers {
				s.net.Dial(s.ln.Addr())
			}
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
		}},
		{"Dial", func() {
			for range peers {
				err := s.Dial(t.Context(), "tcp", "192.0.2.1:80", engine.DialConfig{Timeout: time.Hour},
					func(*engine.Conn, error) engine.Protocol { one(); return nil })
				if err != nil {
					t.Fatal(err)
				}
			}
			s.until(t, time.Second, func() bool { return s.StatsNow().Connections == peers })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			told = 0
			faults := sim.Faults{BlackHole: 1}
			s = onSim(t, sim.Config{Seed: 1, Faults: faults}, engine.Config{Loops: 1},
				func(c *engine.Conn) engine.Protocol { return &parting{conn: c, told: one} })
			test.begin()
			s.BeginShutdown()
			for told < peers {
				begin := s.net.Now()
				s.Step()
				if took := s.net.Now() - begin; took > most {
					t.Fatalf("a turn took %v, %d are told", took, told)
				}
			}
			for s.Step() {
			}
			if told != peers {
				t.Errorf("%d calls for %d", told, peers)
			}
		})
	}
}

// parting is a Protocol that is told of the shutdown, and leaves.
type parting struct {
	stays
	conn *engine.Conn
	told func()
}

func (p *parting) Shutdown() {
	p.told()
	p.conn.Abort()
}
