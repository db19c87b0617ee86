package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// What goes wrong in event-loop engines, each seen in a well-known one, and the tests that keep it
// out of this one:
//
//	 1 no descriptors left            TestOutOfDescriptors, TestLastingShortageRefuses,
//	                                  TestSimulatedStorm
//	 2 a deferred write is stuck      TestDeferredWriteIsNotStuck
//	 3 Close truncates                TestLargeWriteThenCloseIsWhole,
//	                                  TestShutdownDeliversLargeWrites
//	 4 half-close loses the reply     TestHalfCloseKeepsReply
//	 5 stale events                   drivertest "descriptor reused within a batch",
//	                                  sim.Faults.Stale, TestStaleHandle
//	 6 options on a reused descriptor TestSocketOptionsOfClosedConn
//	 7 partial writev, unix sockets   TestWritevIsWhole
//	 8 dial to a refused port         TestDialToRefusedPortFails
//	 9 reading into an empty buffer   TestReadBufferIsNeverEmpty
//	10 Close while opening            TestCloseInAccept
//	11 slow consumers                 TestSlowReaderIsNotReadFrom,
//	                                  TestBlockedHandlerLetsNothingGrow,
//	                                  TestSendToABlockedLoopIsBounded
//	12 shutdown hooks and polling     TestShutdownTellsBeforeItReturns
//	13 posted tasks                   TestPostedTasksKeepTheirOrder, TestPostedTasksDoNotStarveIO,
//	                                  TestSendDoesNotAllocate
//	14 panics                         TestPanicHurtsOneConnection
//	15 address in use, CLOEXEC        TestAddressInUseOnRestart, TestDescriptorsAreCloseOnExec
//	16 ticks off the loop             TestTimersRunOnTheLoop
//	17 datagrams                      TestDatagramsDoNotAllocate,
//	                                  TestDatagramsCostNoExtraSystemCalls
//	18 the caller's bytes             TestCallersBytesAreNotKept

// TestDeferredWriteIsNotStuck: what the kernel did not take at once goes out when it does, without
// any other event of the connection.
func TestDeferredWriteIsNotStuck(t *testing.T) {
	const total = 16 << 20
	handles := make(chan engine.Handle, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	c := s.dial(t)
	h := receive(t, "connection", handles)
	queued := make(chan int, 1)
	h.Post(func(c *engine.Conn) {
		c.Write(make([]byte, total))
		queued <- c.Outbound()
	})
	if receive(t, "write", queued) == 0 {
		t.Fatal("the kernel took it all: the test tests nothing")
	}
	if n, err := io.ReadFull(c, make([]byte, total)); err != nil {
		t.Fatalf("%d of %d bytes: %v", n, total, err)
	}
}

// TestShutdownDeliversLargeWrites: the same as Close at the end of the process.
func TestShutdownDeliversLargeWrites(t *testing.T) {
	const total = 16 << 20
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(make([]byte, total))
			return len(b), nil
		}}
	})
	c := s.dial(t)
	io.WriteString(c, "go")
	b := make([]byte, 1)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) != total-1 {
		t.Fatalf("%d of %d bytes, %v", len(rest), total-1, err)
	}
	c.Close()
	if err := receive(t, "end of Shutdown", ended); err != nil {
		t.Error(err)
	}
}

// TestReadBufferIsNeverEmpty: not with the zero configuration, not with an extreme one, and not
// when what a Protocol has left fills its buffer to the last byte. The simulator calls an empty
// buffer a misuse.
func TestReadBufferIsNeverEmpty(t *testing.T) {
	for _, c := range []engine.Config{{}, {TurnBytes: 1, TurnMessages: 1}, {MaxInbound: 1 << 20}} {
		c.Loops = 1
		c.WriteTimeout = -1
		got, sent := 0, 0
		s := onSim(t, sim.Config{Seed: 1}, c, func(c *engine.Conn) engine.Protocol {
			return &proto{feed: func(b []byte) (int, error) { got = len(b); return 0, nil }}
		})
		p := s.net.Dial(s.ln.Addr())
		for size := 512; size <= 256<<10; size *= 2 { // the sizes of the pool's chunks
			for _, want := range []int{size - 1, size} {
				for got < want {
					sent += p.Send(make([]byte, want-sent))
					was := got
					if !s.until(t, time.Second, func() bool { return got > was }) {
						t.Fatalf("%d of %d bytes were offered", got, want)
					}
				}
			}
		}
	}
}

// TestBlockedHandlerLetsNothingGrow: while one handler blocks, what peers push stays in the kernel.
func TestBlockedHandlerLetsNothingGrow(t *testing.T) {
	blocked, release := make(chan bool), make(chan bool)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if b[0] == '!' {
				blocked <- true
				<-release
			}
			return len(b), nil
		}}
	})
	stuck, pusher := s.dial(t), s.dial(t)
	io.WriteString(stuck, "!")
	receive(t, "blocked handler", blocked)
	pusher.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	pushed, err := pusher.Write(make([]byte, 256<<20))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("a loop that is blocked took %d bytes: %v", pushed, err)
	}
	if n := s.Buffered(); n > 1<<20 {
		t.Errorf("%d bytes are buffered", n)
	}
	close(release)
}

// TestShutdownTellsBeforeItReturns: when Shutdown or Run returns, every Closed has been called.
func TestShutdownTellsBeforeItReturns(t *testing.T) {
	const peers = 200
	var closed atomic.Int32
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		p := echoOn(c)
		p.closed = func(error) { closed.Add(1) }
		return p
	})
	for range peers {
		c := s.dial(t)
		ask(t, c, "x")
		go func() { io.Copy(io.Discard, c); c.Close() }()
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := closed.Load(); n != peers {
		t.Errorf("Shutdown returned when %d of %d connections had been told", n, peers)
	}
}

// TestPostedTasksDoNotStarveIO: tasks that post tasks for ever leave I/O its turn.
func TestPostedTasksDoNotStarveIO(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	var again func()
	again = func() { s.Post(0, again) }
	for range 1000 {
		s.Post(0, again)
	}
	c := s.dial(t)
	for range 20 {
		ask(t, c, "still served")
	}
}

// goroutine is the number of the calling goroutine.
func goroutine() string {
	b := make([]byte, 64)
	return strings.Fields(string(b[:runtime.Stack(b, false)]))[1]
}

// TestTimersRunOnTheLoop: calls of timers, of Feed and of posted functions come from one goroutine,
// never overlap, and need no lock: the race detector sees the counter.
func TestTimersRunOnTheLoop(t *testing.T) {
	const peers = 50
	var inside atomic.Int32
	calls, fired, loop := 0, make(chan bool, 100*peers), ""
	enter := func() func() {
		if loop == "" {
			loop = goroutine()
		} else if g := goroutine(); g != loop {
			t.Errorf("called on goroutine %s, the loop is %s", g, loop)
		}
		if inside.Add(1) != 1 {
			t.Error("two calls at the same time")
		}
		calls++
		return func() { inside.Add(-1) }
	}
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		defer enter()()
		for i := range 10 {
			c.AfterFunc(time.Duration(i)*time.Millisecond, func() {
				defer enter()()
				fired <- true
			})
		}
		return &proto{feed: func(b []byte) (int, error) {
			defer enter()()
			c.Write(b)
			return len(b), nil
		}}
	})
	var all sync.WaitGroup
	for range peers {
		c := s.dial(t)
		all.Go(func() {
			for range 20 {
				io.WriteString(c, "x")
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Error(err)
					return
				}
				s.Post(0, func() { defer enter()() })
			}
		})
	}
	all.Wait()
	for range 10 * peers {
		receive(t, "timer", fired)
	}
	total := make(chan int, 1)
	s.Post(0, func() { total <- calls })
	if n := receive(t, "count", total); n != peers*(1+10+20+20) {
		t.Errorf("%d calls, want %d", n, peers*(1+10+20+20))
	}
}

// TestCallersBytesAreNotKept: whatever is written may be overwritten as soon as the call has
// returned, even if the peer has not taken any of it; also by unix sockets, whose partial writes
// are their own.
func TestCallersBytesAreNotKept(t *testing.T) {
	const size = 300_000 // the kernel takes some of these and then no more
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 1}, echoes)
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "s")
			}
			handles := make(chan engine.Handle, 1)
			ln, err := s.Listen(network, address, func(c *engine.Conn) engine.Protocol {
				handles <- c.Handle()
				return &receiver{conn: c}
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial(network, ln.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			h := receive(t, "connection", handles)
			var want []byte
			fill := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, size) }
			for i := range 40 {
				want = append(want, fill(i)...)
			}
			for i := range 20 {
				b := fill(i)
				if i%2 == 0 {
					err = h.Send(b)
				} else {
					err = h.PostBytes(1, b)
				}
				clear(b)
				if err != nil {
					t.Fatal(err)
				}
			}
			h.Post(func(c *engine.Conn) {
				for i := 20; i < 40; i++ {
					b := fill(i)
					if i%2 == 0 {
						_, err = c.Write(b)
					} else {
						_, err = c.Writev(b[:100], b[100:])
					}
					clear(b)
					if err != nil {
						t.Error(err)
					}
				}
			})
			got := make([]byte, len(want))
			if n, err := io.ReadFull(c, got); err != nil {
				t.Fatalf("%d of %d bytes: %v", n, len(want), err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("byte %d is %q", slices.IndexFunc(got, func(b byte) bool { return b == 0 }), got[0])
			}
		})
	}
}

// receiver writes what is posted to it.
type receiver struct{ conn *engine.Conn }

func (r *receiver) Feed(b []byte) (int, error) { return len(b), nil }
func (r *receiver) Closed(error)               {}
func (r *receiver) Posted(_ uint32, b []byte)  { r.conn.Write(b) }
