package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/engine"
)

func TestHandleIsAWord(t *testing.T) {
	if n := unsafe.Sizeof(engine.Handle{}); n != unsafe.Sizeof(uintptr(0)) {
		t.Fatalf("%d bytes", n)
	}
}

// TestStaleHandle: a handle of a closed connection reaches nobody, also when its slot and
// descriptor are used again.
func TestStaleHandle(t *testing.T) {
	handles := make(chan engine.Handle, 10)
	s, reasons := serveReasons(t, engine.Config{Loops: 1}, func(c *engine.Conn) { handles <- c.Handle() })
	s.dial(t).Close()
	old := receive(t, "handle", handles)
	receive(t, "reason", reasons)
	peer := s.dial(t)
	now := receive(t, "handle", handles)
	for _, h := range []engine.Handle{old, {}} {
		if !h.Closed() || h == now {
			t.Error("a stale handle passes for a live one")
		}
		for i, err := range []error{h.Send([]byte("x")), h.Post(func(*engine.Conn) { t.Error("called") }),
			h.PostBytes(1, nil), h.Close()} {
			if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("method %d of a stale handle: %v", i, err)
			}
		}
	}
	ask(t, peer, "only this")
}

// TestPostedTasksKeepTheirOrder: what one goroutine asks for is done in that order, a close
// included.
func TestPostedTasksKeepTheirOrder(t *testing.T) {
	handles := make(chan engine.Handle, 1)
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	for range 20 {
		c := s.dial(t)
		h := receive(t, "handle", handles)
		var want []byte
		for i := range 1000 {
			b := []byte{byte(i), byte(i >> 8)}
			want = append(want, b...)
			if i%3 == 0 {
				h.Post(func(c *engine.Conn) { c.Write(b) })
			} else {
				if err := h.Send(b); err != nil {
					t.Fatal(err)
				}
				clear(b) // Send has copied it
			}
		}
		h.Close()
		h.Send([]byte("late"))
		if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
			t.Fatalf("%d bytes of %d, or in another order: %v", len(got), len(want), err)
		}
		c.Close()
	}
}

func TestHandleFromManyGoroutines(t *testing.T) {
	handles := make(chan engine.Handle, 1)
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	c := s.dial(t)
	h := receive(t, "handle", handles)
	const goroutines, each = 8, 2000
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for range each {
				h.Send(bytes.Repeat([]byte{byte(g)}, 10))
			}
		})
	}
	go func() { all.Wait(); h.Close() }()
	got, err := io.ReadAll(c)
	if err != nil || len(got) != goroutines*each*10 {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := 0; i < len(got); i += 10 {
		if !bytes.Equal(got[i:i+10], bytes.Repeat(got[i:i+1], 10)) {
			t.Fatal("two Sends were mixed")
		}
	}
}

// TestEachReachesAllLoops, also when one of the calls panics and some connections are closed.
func TestEachReachesAllLoops(t *testing.T) {
	handles := make(chan engine.Handle, 1000)
	s := serve(t, engine.Config{Loops: 3}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	const conns = 700 // several tasks per loop
	var peers []*net.TCPConn
	var all []engine.Handle
	for range conns {
		peers = append(peers, s.dial(t))
		all = append(all, receive(t, "handle", handles))
	}
	victim := all[100]
	var calls atomic.Int32
	engine.Each(slices.Values(append(all, engine.Handle{})), func(c *engine.Conn) {
		calls.Add(1)
		if c.Handle() == victim {
			panic("victim")
		}
		c.Write([]byte("news"))
	})
	for i, p := range peers {
		got := make([]byte, 4)
		_, err := io.ReadFull(p, got)
		if all[i] == victim {
			if err == nil {
				t.Error("the victim lives")
			}
		} else if err != nil || string(got) != "news" {
			t.Fatalf("connection %d: %q, %v", i, got, err)
		}
	}
	if n := calls.Load(); n != conns {
		t.Fatalf("%d calls for %d connections", n, conns)
	}
}

// TestEchoDoesNotAllocate on the server, the client and in between.
func TestEchoDoesNotAllocate(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	c := s.dial(t)
	msg, got := bytes.Repeat([]byte("m"), 100), make([]byte, 100)
	if n := testing.AllocsPerRun(2000, func() {
		c.Write(msg)
		io.ReadFull(c, got)
	}); n != 0 {
		t.Fatalf("%v allocations per message", n)
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop what it is given")
	}
	handles := make(chan engine.Handle, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return &small{c}
	})
	c := s.dial(t)
	h := receive(t, "handle", handles)
	msg, got := bytes.Repeat([]byte("m"), 100), make([]byte, 100)
	if n := testing.AllocsPerRun(2000, func() {
		h.Send(msg)
		io.ReadFull(c, got)
	}); n != 0 {
		t.Fatalf("%v allocations per message", n)
	}
}
