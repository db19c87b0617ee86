package engine_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// These tests have a peer write while the loop is at its connection, and take it that over loopback
// all is there when Write returns.

// large is a Protocol that says it is in the middle of something large.
type large struct {
	proto
	conn *engine.Conn
}

func (p *large) InputBuffer(shared []byte) []byte { return shared[:8<<10] }

func (p *large) Feed(b []byte) (int, error) {
	p.conn.SetGreedy(true)
	return p.feed(b)
}

// two are two connections to one loop, and their clients.
type two struct {
	a, b    net.Conn
	clients map[netip.AddrPort]net.Conn
	handles chan engine.Handle
	one     engine.Handle // of them
}

func newTwo() *two {
	return &two{clients: make(map[netip.AddrPort]net.Conn), handles: make(chan engine.Handle, 2)}
}

// client is the other end of c.
func (p *two) client(c *engine.Conn) net.Conn { return p.clients[c.RemoteAddr()] }

func (p *two) dial(t *testing.T, s *server) {
	p.a, p.b = s.dial(t), s.dial(t)
	for _, c := range []net.Conn{p.a, p.b} {
		p.clients[netip.MustParseAddrPort(c.LocalAddr().String())] = c
	}
	p.one = receive(t, "connection", p.handles)
	receive(t, "connection", p.handles)
}

// send sends from both clients, while the loop can do nothing: it finds them ready at the same
// time, a first.
func (p *two) send(t *testing.T, a, b []byte) {
	blocked, done := make(chan bool), make(chan bool)
	p.one.Post(func(*engine.Conn) { close(blocked); <-done })
	receive(t, "blocked loop", blocked)
	p.a.Write(a)
	p.b.Write(b)
	close(done)
}

// TestLargeIsReadOn: what comes while the loop is at the connection is read before others have
// their turn, if it belongs to something large, which need not be kept for that long.
func TestLargeIsReadOn(t *testing.T) {
	for name, test := range map[string]struct {
		size  int // of the first half of a message
		says  bool
		leave bool // it, for Feed to get again with the second half
		order string
	}{
		"short":          {size: 100, leave: true, order: "ABab"},
		"taken as it is": {size: 9 << 10, order: "ABab"},
		"left":           {size: 9 << 10, leave: true, order: "AaBb"},
		"by SetGreedy":   {size: 9 << 10, says: true, order: "AaBb"},
	} {
		t.Run(name, func(t *testing.T) {
			both, order := newTwo(), make(chan byte, 4)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				p := &large{conn: c}
				p.feed = func(b []byte) (int, error) {
					last := b[len(b)-1]
					if order <- last; last >= 'a' {
						return len(b), nil
					}
					both.client(c).Write([]byte{last - 'A' + 'a'})
					if test.leave {
						return 0, nil
					}
					return len(b), nil
				}
				both.handles <- c.Handle()
				if test.says {
					return p
				}
				return &p.proto
			})
			both.dial(t, s)
			both.send(t, bytes.Repeat([]byte("A"), test.size), bytes.Repeat([]byte("B"), test.size))
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

// TestReadingOnTakesTwoShares: of bytes that are there already, and not what is left of them from a
// turn before.
func TestReadingOnTakesTwoShares(t *testing.T) {
	const share, all = 8 << 10, 64 << 10
	both, fed := newTwo(), make(chan []byte, all)
	s := serve(t, engine.Config{Loops: 1, TurnBytes: share}, func(c *engine.Conn) engine.Protocol {
		p := &large{conn: c}
		p.feed = func(b []byte) (int, error) {
			fed <- bytes.Clone(b)
			return len(b), nil
		}
		both.handles <- c.Handle()
		return p
	})
	both.dial(t, s)
	both.a.Write(bytes.Repeat([]byte("x"), share))
	receive(t, "Feed", fed)
	both.send(t, bytes.Repeat([]byte("a"), all), bytes.Repeat([]byte("b"), all))
	var last byte
	run, got := 0, make(map[byte]int)
	for got['a'] < all && got['b'] < all {
		piece := receive(t, "Feed", fed)
		if piece[0] != last {
			if last != 0 && run != 2*share {
				t.Fatalf("%d bytes of one connection were read without a break, its share of a turn is %d", run, share)
			}
			last, run = piece[0], 0
		}
		run += len(piece)
		got[last] += len(piece)
	}
}

// TestReadingOnEnds: a peer that goes on sending while it is read from does not keep the others
// waiting, neither by many reads nor by many messages.
func TestReadingOnEnds(t *testing.T) {
	for name, test := range map[string]struct {
		sent int // by A's client whenever it is read from
		most int // reads from A before B's first
	}{
		"a byte at a time": {sent: 1, most: 2 * 64},
		// the first byte, and as many messages as two shares, begun
		"many messages": {sent: 1000, most: 4},
	} {
		t.Run(name, func(t *testing.T) {
			both, reads := newTwo(), make(chan int, 1)
			var first *engine.Conn
			n := 0
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				p := &large{conn: c}
				p.feed = func(b []byte) (int, error) {
					if first == nil {
						first = c
					}
					if first != c {
						select {
						case reads <- n:
						default:
						}
						return len(b), nil
					}
					n++
					for range b[1:] {
						c.Yield()
					}
					if n < 10*test.most {
						both.client(c).Write(make([]byte, test.sent))
					}
					return len(b), nil
				}
				both.handles <- c.Handle()
				return p
			})
			both.dial(t, s)
			both.send(t, []byte("A"), []byte("B"))
			if n := receive(t, "Feed", reads); n > test.most {
				t.Errorf("%d reads from one connection in a turn, want at most %d", n, test.most)
			}
		})
	}
}
