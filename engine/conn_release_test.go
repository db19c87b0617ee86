package engine_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

type handover struct {
	nc             net.Conn
	unread, unsent []byte
	err            error
}

// TestReleaseLosesNothing: a connection leaves the engine in the middle of its input, with output
// that the peer has not read, and its bytes go on in order on a goroutine.
func TestReleaseLosesNothing(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB: more than the kernel takes
	given, reason := make(chan handover, 1), make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{
			feed: func(b []byte) (int, error) {
				c.Write([]byte("small,"))
				c.Write([]byte(big))
				err := c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
					given <- handover{nc, unread, unsent, err}
				})
				if err != nil {
					return 0, err
				}
				if err := c.Release(nil); !errors.Is(err, engine.ErrClosed) {
					t.Errorf("a second Release: %v", err)
				}
				return len("request,"), nil
			},
			closed: func(err error) { reason <- err },
		}
	})
	c := s.dial(t)
	io.WriteString(c, "request,and more")
	h := receive(t, "released connection", given)
	if h.err != nil {
		t.Fatal(h.err)
	}
	defer h.nc.Close()
	if err := receive(t, "reason", reason); !errors.Is(err, engine.ErrReleased) {
		t.Errorf("reason %v", err)
	}
	if string(h.unread) != "and more" {
		t.Errorf("unread %q", h.unread)
	}
	go func() {
		h.nc.Write(h.unsent)
		io.WriteString(h.nc, "from the goroutine")
		h.nc.Close()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := "small," + big + "from the goroutine"; string(got) != want {
		t.Fatalf("%d bytes arrived, want %d, in order", len(got), len(want))
	}
	ask2 := s.dial(t) // the loop lives, and its table has one slot in use
	ask2.Close()
	eventually(t, "empty loop", func() bool { return stats(t, s.Engine).Connections == 0 })
	if n := stats(t, s.Engine).Closed[engine.CauseRelease]; n != 1 {
		t.Errorf("%d connections are counted as released", n)
	}
}

// TestReleasedConnectionIsLeftAlone: the engine neither reads from it nor closes it, also when it
// ends.
func TestReleasedConnectionIsLeftAlone(t *testing.T) {
	given := make(chan handover, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.AfterFunc(time.Microsecond, func() {
			c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
				given <- handover{nc, unread, unsent, err}
			})
		})
		return echoOn(c)
	})
	c := s.dial(t)
	h := receive(t, "released connection", given)
	if h.err != nil || len(h.unread)+len(h.unsent) > 0 {
		t.Fatalf("%v, %d bytes unread, %d unsent", h.err, len(h.unread), len(h.unsent))
	}
	defer h.nc.Close()
	s.Close()
	go io.Copy(h.nc, h.nc)
	ask(t, c, "the engine is gone, the connection is not")
}

func TestReleaseWithoutANetConnCloses(t *testing.T) {
	n := sim.New(sim.Config{Seed: 1})
	e, err := engine.NewOn(n, engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	var told error
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		c.Release(func(nc net.Conn, unread, unsent []byte, err error) { told = err })
		return echoOn(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	p := n.Dial(ln.Addr())
	for range 10 {
		e.Step()
	}
	if told == nil || !p.EOF() && p.Err() == nil {
		t.Fatalf("take got %v; the peer sees EOF %v, error %v", told, p.EOF(), p.Err())
	}
	if err := errors.Join(e.Check(), n.Check()); err != nil {
		t.Fatal(err)
	}
}

// TestReleaseInAPanickingFeedKeepsItsInput: take got the connection without the bytes of that Feed.
func TestReleaseInAPanickingFeedKeepsItsInput(t *testing.T) {
	for name, held := range map[string]int{"all at once": 0, "after a small rest": 100,
		"after a large rest": 20 << 10} {
		t.Run(name, func(t *testing.T) {
			want := strings.Repeat("0123456789", 3<<10)
			given := make(chan handover, 1)
			s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
				return &proto{feed: func(b []byte) (int, error) {
					if len(b) < held {
						return 0, nil
					}
					c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
						given <- handover{nc, unread, unsent, err}
					})
					panic("boom")
				}}
			})
			releasesAll(t, s, given, want, held)
		})
	}
}

// releasesAll sends text to a server, the first held bytes before the others, and checks that who
// has taken the connection gets all of it.
func releasesAll(t *testing.T, s *server, given chan handover, text string, held int) {
	t.Helper()
	c := s.dial(t)
	io.WriteString(c, text[:held])
	eventually(t, "rest", func() bool {
		stats, err := s.Stats(t.Context())
		return err != nil || held == 0 || stats.BytesRead == uint64(held) || len(given) > 0
	})
	io.WriteString(c, text[held:])
	c.CloseWrite()
	h := receive(t, "released connection", given)
	defer h.nc.Close()
	h.nc.SetDeadline(time.Now().Add(patience))
	rest, err := io.ReadAll(h.nc)
	if got := string(h.unread) + string(rest); got != text || err != nil {
		t.Errorf("%d bytes are unread, then come %d, want %d: %v", len(h.unread), len(rest), len(text), err)
	}
}

// TestReleaseInRecoveredKeepsTheInput: take got what had waited before the Feed that has panicked,
// consumed or not, and behind a layer the engine's own code panicked.
func TestReleaseInRecoveredKeepsTheInput(t *testing.T) {
	for name, held := range map[string]int{"all at once": 0, "after a small rest": 100,
		"after a large rest": 20 << 10, "above the limit": 29 << 10} {
		t.Run(name, func(t *testing.T) {
			want := strings.Repeat("0123456789", 3<<10)
			given := make(chan handover, 1)
			s := serve(t, engine.Config{Loops: 1, MaxInbound: 30000}, func(c *engine.Conn) engine.Protocol {
				return &recovering{
					proto: proto{feed: func(b []byte) (int, error) {
						if len(b) < held {
							return 0, nil
						}
						panic("boom")
					}},
					recovered: func() {
						c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
							given <- handover{nc, unread, unsent, err}
						})
					},
				}
			})
			releasesAll(t, s, given, want, held)
		})
	}
}

// recovering is a Recoverer.
type recovering struct {
	proto
	recovered func()
}

func (p *recovering) Recovered(*engine.PanicError) { p.recovered() }

// TestReleaseInAcceptKeepsEarlyBytes: what was read before Adopt was lost.
func TestReleaseInAcceptKeepsEarlyBytes(t *testing.T) {
	for name, after := range map[string]func(){
		"returns": func() {}, "panics": func() { panic("boom") }, "Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 1}, echoes)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			peer, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			nc, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			given := make(chan handover, 1)
			if err := s.Adopt(nc, []byte("early"), func(c *engine.Conn) engine.Protocol {
				c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
					given <- handover{nc, unread, unsent, err}
				})
				after()
				return echoOn(c)
			}); err != nil {
				t.Fatal(err)
			}
			h := receive(t, "released connection", given)
			defer h.nc.Close()
			if string(h.unread) != "early" {
				t.Errorf("unread %q", h.unread)
			}
		})
	}
}
