package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// keeper is a Protocol that writes so much at once that some must wait, and notes what it hears of
// it.
type keeper struct {
	c     *engine.Conn
	heard []string
}

func (k *keeper) Feed(b []byte) (int, error) {
	k.note("before")
	k.c.Write(make([]byte, len(b)<<10))
	k.note("after")
	return len(b), nil
}
func (k *keeper) Closed(error) {}
func (k *keeper) Drained()     { k.note("drained") }
func (k *keeper) Flushed()     { k.note("flushed") }
func (k *keeper) note(what string) {
	reading := " reading"
	if !k.c.Reading() {
		reading = " not reading"
	}
	k.heard = append(k.heard, what+" "+[]string{"sent", "queued", "over"}[k.c.Pressure()]+reading)
}

// TestDialledConnectionIsNotFlushed: that a socket became writable because it is connected is
// nobody's news.
func TestDialledConnectionIsNotFlushed(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, turnAway)
	var p *sim.Peer
	s.net.Remote(func(peer *sim.Peer) bool {
		p = peer
		return true
	})
	var k *keeper
	err := s.Dial(t.Context(), "tcp", "192.0.2.7:1000", engine.DialConfig{},
		func(c *engine.Conn, err error) engine.Protocol {
			if err != nil {
				t.Fatal(err)
			}
			k = &keeper{c: c}
			c.Write([]byte("x"))
			return k
		})
	if err != nil {
		t.Fatal(err)
	}
	if !s.until(t, time.Minute, func() bool { return p != nil && len(p.Recv(10)) == 1 }) || len(k.heard) != 0 {
		t.Errorf("heard %q", k.heard)
	}
}

// TestPressure: what Pressure, Reading, Drained and Flushed tell of a peer that takes all at once,
// or more slowly, or much more slowly.
func TestPressure(t *testing.T) {
	for _, test := range []struct {
		name  string
		sends int // the answer is 1,024 times as long
		high  int // watermark
		want  []string
	}{
		{"at once", 1, 256 << 10, []string{"before sent reading", "after sent reading"}},
		{"corked, and over the high watermark if it were not", 7, 4 << 10,
			[]string{"before sent reading", "after sent reading"}},
		{"queued", 100, 256 << 10, []string{"before sent reading", "after queued reading", "flushed sent reading"}},
		{"over the high watermark", 1000, 256 << 10, []string{"before sent reading", "after over reading",
			"drained queued reading", "flushed sent reading"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &keeper{}
			s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, HighWater: test.high},
				func(c *engine.Conn) engine.Protocol {
					k.c = c
					return k
				})
			p := s.net.Dial(s.ln.Addr())
			p.Send(make([]byte, test.sends))
			got := 0
			s.until(t, time.Hour, func() bool {
				got += len(p.Recv(1 << 20))
				return got == test.sends<<10
			})
			if k.c.Pressure() != engine.Sent || got != test.sends<<10 {
				t.Fatalf("%d bytes came, and the pressure is %d", got, k.c.Pressure())
			}
			s.Step()
			if len(k.heard) != len(test.want) {
				t.Fatalf("heard %q, want %q", k.heard, test.want)
			}
			for i, w := range test.want {
				if k.heard[i] != w {
					t.Fatalf("heard %q, want %q", k.heard, test.want)
				}
			}
		})
	}
}

// TestWatermarksOfOneConnection count in place of the engine's, until they are taken back.
func TestWatermarksOfOneConnection(t *testing.T) {
	var conns []*engine.Conn
	var heard []*keeper
	s := onSim(t, sim.Config{Seed: 1, Buffer: 100}, engine.Config{Loops: 1, HighWater: 10_000},
		func(c *engine.Conn) engine.Protocol {
			if len(conns) == 0 {
				c.SetWatermarks(2000, 500)
			}
			c.Write(make([]byte, 3000))
			conns = append(conns, c)
			heard = append(heard, &keeper{c: c})
			return heard[len(heard)-1]
		})
	p := s.net.Dial(s.ln.Addr())
	s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return len(conns) == 2 && conns[1].Pressure() != engine.Sent }) {
		t.Fatal("nothing waits")
	}
	if a, b := conns[0].Pressure(), conns[1].Pressure(); a != engine.OverHighWater || b != engine.Queued {
		t.Fatalf("pressure %v with marks of its own, %v without", a, b)
	}
	low := -1
	s.until(t, time.Minute, func() bool {
		p.Recv(100)
		if low < 0 && len(heard[0].heard) > 0 {
			low = conns[0].Outbound()
		}
		return low >= 0
	})
	if low > 500 || low < 300 || heard[0].heard[0] != "drained queued reading" {
		t.Errorf("drained at %d bytes: %q", low, heard[0].heard)
	}
	s.InTurn(0, func() { conns[1].SetWatermarks(2000, 3000) }) // that low is a quarter of high
	s.Step()
	if got := conns[1].Pressure(); got != engine.OverHighWater {
		t.Errorf("pressure %v with lower marks", got)
	}
	s.InTurn(0, func() { conns[1].SetWatermarks(0, 0) })
	s.InTurn(0, func() { conns[1].WriteShared(make([]byte, 3000), engine.SlowDropNewest) })
	if got := conns[1].Outbound(); got < 5000 {
		t.Errorf("%d bytes are queued: the message was dropped by marks that do not count any more", got)
	}
}
