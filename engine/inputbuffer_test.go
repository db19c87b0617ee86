package engine_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// buffered is a Protocol with a buffer of its own, which it says it has from the first byte on.
type buffered struct {
	conn *engine.Conn
	own  []byte
	fed  chan bool // was it fed from its own buffer?
}

func (p *buffered) InputBuffer([]byte) []byte { return p.own }

func (p *buffered) Feed(b []byte) (int, error) {
	p.fed <- len(p.own) > 0 && &b[0] == &p.own[0]
	switch string(b) {
	case "on":
		p.conn.UseInputBuffer(true)
	case "off":
		p.conn.UseInputBuffer(false)
	case "swap":
		p.conn.SetProtocol(&buffered{conn: p.conn, own: p.own, fed: p.fed})
	case "none":
		p.own = nil
	}
	return len(b), nil
}

func (p *buffered) Closed(error) {}

// TestInputBuffer: the loop reads to where the Protocol says, while it says so.
func TestInputBuffer(t *testing.T) {
	fed := make(chan bool, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &buffered{conn: c, own: make([]byte, 8<<10), fed: fed}
	})
	c := s.dial(t)
	for i, step := range []struct {
		send string
		own  bool
	}{
		{"x", false}, {"on", false}, {"x", true}, {"x", true}, {"off", true}, {"x", false},
		{"on", false}, {"swap", true}, {"x", false}, {"on", false}, {"none", true}, {"x", false},
	} {
		c.Write([]byte(step.send))
		if own := receive(t, "Feed", fed); own != step.own {
			t.Errorf("step %d, %q: read to the Protocol's own buffer: %v", i, step.send, own)
		}
	}
}

// large is a Protocol that says it is in the midst of something large.
type large struct {
	proto
	conn *engine.Conn
}

func (p *large) InputBuffer(shared []byte) []byte { return shared[:8<<10] }

func (p *large) Feed(b []byte) (int, error) {
	p.conn.UseInputBuffer(true)
	return p.feed(b)
}

// whileBlocked calls f while the loop can do nothing.
func whileBlocked(t *testing.T, h engine.Handle, f func()) {
	blocked, done := make(chan bool), make(chan bool)
	h.Post(func(*engine.Conn) { close(blocked); <-done })
	receive(t, "blocked loop", blocked)
	f()
	close(done)
}

// TestLargeIsReadOn: what comes while the loop is at the connection is read before others have their turn, if it belongs to something
// large, which need not be kept for that long.
func TestLargeIsReadOn(t *testing.T) {
	for name, test := range map[string]struct {
		size  int // of the first half of a message
		says  bool
		leave bool // it, for Feed to get again with the second half
		order string
	}{
		"short":             {size: 100, leave: true, order: "ABab"},
		"taken as it is":    {size: 9 << 10, order: "ABab"},
		"left":              {size: 9 << 10, leave: true, order: "AaBb"},
		"by UseInputBuffer": {size: 9 << 10, says: true, order: "AaBb"},
	} {
		t.Run(name, func(t *testing.T) {
			peers := make(map[netip.AddrPort]net.Conn)
			handles, order := make(chan engine.Handle, 2), make(chan byte, 4)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				p := &large{conn: c}
				p.feed = func(b []byte) (int, error) {
					last := b[len(b)-1]
					if order <- last; last >= 'a' {
						return len(b), nil
					}
					peers[c.RemoteAddr()].Write([]byte{last - 'A' + 'a'}) // over loopback it is there when Write returns
					if test.leave {
						return 0, nil
					}
					return len(b), nil
				}
				handles <- c.Handle()
				if test.says {
					return p
				}
				return &p.proto
			})
			a, b := s.dial(t), s.dial(t)
			for _, c := range []net.Conn{a, b} {
				peers[netip.MustParseAddrPort(c.LocalAddr().String())] = c
			}
			whileBlocked(t, receive(t, "connection", handles), func() {
				a.Write(bytes.Repeat([]byte("A"), test.size))
				b.Write(bytes.Repeat([]byte("B"), test.size))
			})
			got := ""
			for range test.order {
				got += string(rune(receive(t, "Feed", order)))
			}
			if got != test.order {
				t.Errorf("the order is %s, want %s", got, test.order)
			}
		})
	}
}

// TestLargeDoesNotStarveTheOthers: reading on ends with a second share of the turn.
func TestLargeDoesNotStarveTheOthers(t *testing.T) {
	const share, all = 8 << 10, 64 << 10
	handles, fed := make(chan engine.Handle, 2), make(chan []byte, all)
	s := serve(t, engine.Config{Loops: 1, TurnBytes: share}, func(c *engine.Conn) engine.Protocol {
		p := &large{conn: c}
		p.feed = func(b []byte) (int, error) {
			fed <- bytes.Clone(b)
			return len(b), nil
		}
		handles <- c.Handle()
		return p
	})
	a, b := s.dial(t), s.dial(t)
	whileBlocked(t, receive(t, "connection", handles), func() {
		a.Write(bytes.Repeat([]byte("a"), all))
		b.Write(bytes.Repeat([]byte("b"), all))
	})
	var last byte
	run, got := 0, make(map[byte]int)
	for got['a'] < all && got['b'] < all {
		piece := receive(t, "Feed", fed)
		if piece[0] != last {
			last, run = piece[0], 0
		}
		if run += len(piece); run > 2*share {
			t.Fatalf("%d bytes of one connection were read without a break, its share of a turn is %d", run, share)
		}
		got[last] += len(piece)
	}
}
