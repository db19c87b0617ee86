package engine_test

import (
	"bytes"
	"io"
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
	conn  *engine.Conn
	piece int // how much of it is read at a time
}

func (p *large) InputBuffer(shared []byte) []byte { return shared[:p.piece] }

func (p *large) Feed(b []byte) (int, error) {
	p.conn.UseInputBuffer(p.piece > 0)
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
	for piece, want := range map[int]string{0: "ABab", 100: "AaBb"} {
		peers := make(map[netip.AddrPort]net.Conn)
		handles, order := make(chan engine.Handle, 2), make(chan string, 4)
		s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
			p := &large{conn: c, piece: piece}
			p.feed = func(b []byte) (int, error) {
				order <- string(b)
				if b[0] < 'a' {
					peers[c.RemoteAddr()].Write(bytes.ToLower(b)) // over loopback it is there when Write returns
				}
				return len(b), nil
			}
			handles <- c.Handle()
			return p
		})
		a, b := s.dial(t), s.dial(t)
		for _, c := range []net.Conn{a, b} {
			peers[netip.MustParseAddrPort(c.LocalAddr().String())] = c
		}
		whileBlocked(t, receive(t, "connection", handles), func() {
			io.WriteString(a, "A")
			io.WriteString(b, "B")
		})
		got := ""
		for range want {
			got += receive(t, "Feed", order)
		}
		if got != want {
			t.Errorf("reading %d bytes at a time: the order is %s, want %s", piece, got, want)
		}
	}
}

// TestLargeDoesNotStarveTheOthers: reading on ends with a second share of the turn.
func TestLargeDoesNotStarveTheOthers(t *testing.T) {
	const share, all = 8 << 10, 64 << 10
	handles, fed := make(chan engine.Handle, 2), make(chan []byte, all)
	s := serve(t, engine.Config{Loops: 1, TurnBytes: share}, func(c *engine.Conn) engine.Protocol {
		p := &large{conn: c, piece: share}
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
