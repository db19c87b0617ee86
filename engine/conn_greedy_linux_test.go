package engine_test

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// These tests have a peer write while the loop is at its connection, which then waits until that is
// there: on a busy machine it takes a while, over loopback as well.

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
	conns   []*engine.Conn // for the loop
	clients map[netip.AddrPort]net.Conn
	handles chan engine.Handle
	one     engine.Handle // of them
}

func newTwo() *two {
	return &two{clients: make(map[netip.AddrPort]net.Conn), handles: make(chan engine.Handle, 2)}
}

func (p *two) accept(c *engine.Conn) {
	p.conns = append(p.conns, c)
	p.handles <- c.Handle()
}

// write sends b to c, on its loop.
func (p *two) write(t *testing.T, c *engine.Conn, b []byte) {
	all := p.unread(t, c) + len(b)
	if _, err := p.clients[c.RemoteAddr()].Write(b); err != nil {
		return // the test is over
	}
	eventually(t, "arrival", func() bool { return p.unread(t, c) >= all })
}

// unread returns how much the kernel has for c, on its loop.
func (p *two) unread(t *testing.T, c *engine.Conn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return 0
	}
	return unread(t, raw)
}

func (p *two) dial(t *testing.T, s *server) {
	p.a, p.b = s.dial(t), s.dial(t)
	for _, c := range []net.Conn{p.a, p.b} {
		p.clients[netip.MustParseAddrPort(c.LocalAddr().String())] = c
	}
	p.one = receive(t, "connection", p.handles)
	receive(t, "connection", p.handles)
}

// send sends from both clients, while the loop can do nothing: it finds them ready at the same
// time. Which of them a turn begins with is open.
func (p *two) send(t *testing.T, a, b []byte) {
	const window = 32 << 10 // so much arrives at once in any case
	blocked, done := make(chan bool), make(chan bool)
	p.one.Post(func(*engine.Conn) {
		close(blocked)
		<-done
		for _, c := range p.conns {
			eventually(t, "arrival", func() bool { return p.unread(t, c) >= min(len(a), len(b), window) })
		}
	})
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
		on    bool // it is read on
	}{
		"short":          {size: 100, leave: true},
		"taken as it is": {size: 9 << 10},
		"left":           {size: 9 << 10, leave: true, on: true},
		"by SetGreedy":   {size: 9 << 10, says: true, on: true},
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
					both.write(t, c, []byte{last - 'A' + 'a'})
					if test.leave {
						return 0, nil
					}
					return len(b), nil
				}
				both.accept(c)
				if test.says {
					return p
				}
				return &p.proto
			})
			both.dial(t, s)
			both.send(t, bytes.Repeat([]byte("A"), test.size), bytes.Repeat([]byte("B"), test.size))
			got := ""
			for range 4 {
				got += string(rune(receive(t, "Feed", order)))
			}
			want := []string{"ABab", "ABba", "BAab", "BAba"}
			if test.on {
				want = []string{"AaBb", "BbAa"}
			}
			if !slices.Contains(want, got) {
				t.Errorf("the order is %s, want one of %v", got, want)
			}
		})
	}
}

// TestReadingOnTakesTwoShares: of bytes that are there already, and not what is left of them from a
// turn before.
func TestReadingOnTakesTwoShares(t *testing.T) {
	const share, all = 8 << 10, 64 << 10
	type piece struct {
		of   byte
		turn uint64
		size int
	}
	both, fed := newTwo(), make(chan piece, all)
	s := serve(t, engine.Config{Loops: 1, TurnBytes: share}, func(c *engine.Conn) engine.Protocol {
		p := &large{conn: c}
		p.feed = func(b []byte) (int, error) {
			fed <- piece{b[0], engine.Turns(c.Engine(), 0), len(b)}
			return len(b), nil
		}
		both.accept(c)
		return p
	})
	both.dial(t, s)
	both.a.Write(bytes.Repeat([]byte("x"), share))
	receive(t, "Feed", fed)
	both.send(t, bytes.Repeat([]byte("a"), all), bytes.Repeat([]byte("b"), all))
	var last piece
	got := make(map[byte]int)
	for got['a'] < all && got['b'] < all {
		p := receive(t, "Feed", fed)
		if got[p.of] += p.size; p.of == last.of && p.turn == last.turn {
			last.size += p.size
			continue
		}
		if last.size > 0 && last.size != 2*share {
			t.Fatalf("%d bytes of one connection were read in a turn, its share is %d", last.size, share)
		}
		last = p
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
						both.write(t, c, make([]byte, test.sent))
					}
					return len(b), nil
				}
				both.accept(c)
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
