package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// waiting is a connection whose peer reads nothing unless told to, and its Handle.
func waiting(t testing.TB, s *websocket.Server) (*engine.Engine, *client, websocket.Handle) {
	t.Helper()
	handles := make(chan websocket.Handle, 1)
	s.Open = func(c *websocket.Conn) {
		c.EngineConn().SetWriteBuffer(64 << 10)
		handles <- c.Handle()
	}
	eng, address := start(t, s, engine.Config{Loops: 1, HighWater: 256 << 10})
	c := dial(t, address)
	return eng, c, receive(t, "handle", handles)
}

// TestSendWaitWaits: a goroutine produces no faster than the peer takes it, and nothing is lost or
// out of order.
func TestSendWaitWaits(t *testing.T) {
	const total, size = 300, 100_000
	filler := strings.Repeat("x", size)
	message := func(i int) string { return fmt.Sprint(i, filler) }
	eng, c, h := waiting(t, &websocket.Server{})
	produced := make(chan error, 1)
	var sent atomic.Int32
	go func() {
		for i := range total {
			if err := h.SendWait(context.Background(), websocket.Text, []byte(message(i))); err != nil {
				produced <- err
				return
			}
			sent.Add(1)
		}
		produced <- nil
	}()
	wait(t, h, 1)
	if n := sent.Load(); n == 0 || n == total {
		t.Fatalf("%d messages were sent, the peer reads nothing", n)
	}
	if s, err := eng.Stats(t.Context()); err != nil || s.Buffered > 256<<10+2*size {
		t.Errorf("%d bytes are queued, %v", s.Buffered, err)
	}
	for i := range total {
		c.expect(t, ws.OpText, message(i))
	}
	if err := receive(t, "end of the producer", produced); err != nil {
		t.Fatal(err)
	}
}

// wait waits until so many calls of SendWait do.
func wait(t testing.TB, h websocket.Handle, want int) {
	t.Helper()
	n := make(chan int, 1)
	until(t, "calls of SendWait that wait", func() bool {
		h.Post(func(c *websocket.Conn) { n <- websocket.Waiters(c) })
		return receive(t, "answer", n) == want
	})
}

// fill sends until the peer does not keep up, and returns how many messages that took.
func fill(t testing.TB, h websocket.Handle, message []byte) (n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	filled := make(chan error)
	go func() {
		for {
			if err := h.SendWait(ctx, websocket.Binary, message); err != nil {
				filled <- err
				return
			}
			n++
		}
	}()
	wait(t, h, 1)
	cancel()
	if err := receive(t, "end", filled); err != context.Canceled {
		t.Fatalf("message %d: %v", n, err)
	}
	wait(t, h, 0)
	return n
}

// TestSendWaitEnds: by its context, when the message is not sent; by the closing of the connection;
// by its end.
func TestSendWaitEnds(t *testing.T) {
	large := make([]byte, 100_000)
	for _, test := range []struct {
		name string
		end  func(h websocket.Handle, c *client)
		open bool // the connection is not at its end when SendWait is
	}{
		{name: "by our Close", end: func(h websocket.Handle, _ *client) { h.Close(websocket.GoingAway, "") },
			open: true},
		{name: "by the peer", end: func(_ websocket.Handle, c *client) { c.Close() }},
		{name: "by Abort", end: func(h websocket.Handle, _ *client) {
			h.Post(func(c *websocket.Conn) {
				c.EngineConn().Abort()
			})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, c, h := waiting(t, &websocket.Server{})
			fill(t, h, large)
			errs := make(chan error, 10)
			for range cap(errs) {
				go func() { errs <- h.SendWait(context.Background(), websocket.Binary, large) }()
			}
			wait(t, h, cap(errs))
			test.end(h, c)
			for range cap(errs) {
				if err := receive(t, "end of SendWait", errs); !errors.Is(err, engine.ErrClosed) {
					t.Errorf("%v, want ErrClosed", err)
				}
			}
			if test.open && h.Closed() {
				t.Error("SendWait waits for the end of the closing handshake")
			}
			until(t, "end of the connection", func() bool { c.Close(); return h.Closed() })
			if err := h.SendWait(context.Background(), websocket.Binary, nil); !errors.Is(err, engine.ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
	t.Run("by its context", func(t *testing.T) {
		_, c, h := waiting(t, &websocket.Server{})
		n := fill(t, h, large) // and so cancelled once
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("changed my mind")
		errs := make(chan error, 1)
		go func() { errs <- h.SendWait(ctx, websocket.Text, []byte("never")) }()
		wait(t, h, 1)
		cancel(reason)
		if err := receive(t, "end of SendWait", errs); err != reason {
			t.Fatalf("%v", err)
		}
		if err := h.SendWait(ctx, websocket.Text, []byte("never")); err != reason {
			t.Fatalf("%v of a context that has ended", err)
		}
		later := make(chan error, 1)
		go func() { later <- h.SendWait(context.Background(), websocket.Text, []byte("later")) }()
		for range n {
			c.expect(t, ws.OpBinary, string(large))
		}
		c.expect(t, ws.OpText, "later")
		if err := receive(t, "SendWait", later); err != nil {
			t.Fatal(err)
		}
	})
	if err := (websocket.Handle{}).SendWait(t.Context(), websocket.Text, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("the zero Handle: %v", err)
	}
}

// TestSendWaitWaitsForPieces: messages are not held in memory while one is sent piece by piece.
func TestSendWaitWaitsForPieces(t *testing.T) {
	_, c, h := waiting(t, &websocket.Server{})
	begun := make(chan struct{})
	h.Post(func(c *websocket.Conn) {
		c.SendPiece(websocket.Text, []byte("be"), false)
		close(begun)
	})
	receive(t, "piece", begun)
	done := make(chan error, 1)
	go func() { done <- h.SendWait(context.Background(), websocket.Text, []byte("behind")) }()
	wait(t, h, 1)
	h.Post(func(c *websocket.Conn) { c.SendPiece(0, []byte("gun"), true) })
	if err := receive(t, "SendWait", done); err != nil {
		t.Fatal(err)
	}
	c.expect(t, ws.OpText, "be")
	c.expect(t, ws.OpContinuation, "gun")
	c.expect(t, ws.OpText, "behind")
}

// TestSendWaitOnALoopIsRefused: it waited for its own loop, and so did the end of the engine.
func TestSendWaitOnALoopIsRefused(t *testing.T) {
	_, _, h := waiting(t, &websocket.Server{})
	sent := make(chan error, 1)
	h.Post(func(*websocket.Conn) { sent <- h.SendWait(context.Background(), websocket.Text, []byte("x")) })
	if err := receive(t, "SendWait", sent); !errors.Is(err, engine.ErrOnLoop) {
		t.Fatal(err)
	}
}

func TestSendWaitDoesNotAllocate(t *testing.T) {
	if raceEnabled { // when a sync.Pool forgets now and then
		t.Skip("the race detector is on")
	}
	_, _, h := waiting(t, &websocket.Server{})
	message := []byte(strings.Repeat("m", 100))
	n := testing.AllocsPerRun(500, func() {
		if err := h.SendWait(context.Background(), websocket.Text, message); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}

// TestManyWaiters: each call of SendWait that had to wait, or was given up, took time for each that
// was waiting already: 20,000 that were given up at once held the loop for two seconds.
func TestManyWaiters(t *testing.T) {
	_, _, h := waiting(t, &websocket.Server{})
	fill(t, h, make([]byte, 64<<10))
	done := make(chan bool, 1)
	h.Post(func(c *websocket.Conn) {
		websocket.QueueWaiters(c, 300_000) // with a search, minutes
		done <- true
	})
	receive(t, "time", done)
}

// TestManyWaitersDoNotHoldTheLoop: when a message in pieces had ended, all that waited in SendWait
// were sent by one call. A thousand messages that are compressed with a window held the loop for
// more than 50 ms.
func TestManyWaitersDoNotHoldTheLoop(t *testing.T) {
	const waiters, most = 200, 20
	handles := make(chan websocket.Handle, 1)
	url := wstest.Serve(t, &websocket.Server{
		Compression: &websocket.Compression{ServerTakeover: true},
		Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Text, []byte("begin"), false)
			handles <- c.Handle()
		}})
	p := wstest.Dial(t, url, &wstest.Offer{Deflate: new(wsproto.Deflate)})
	h := receive(t, "handle", handles)
	text := strings.Repeat("0123456789", 30)
	for range waiters {
		go func() {
			if err := h.SendWait(t.Context(), websocket.Text, []byte(text)); err != nil {
				t.Error(err)
			}
		}()
	}
	counts := make(chan int, 1)
	count := func(f func(*websocket.Conn)) int {
		h.Post(func(c *websocket.Conn) {
			f(c)
			counts <- websocket.Waiters(c)
		})
		return receive(t, "count", counts)
	}
	until(t, "all wait", func() bool { return count(func(*websocket.Conn) {}) == waiters })
	left := count(func(c *websocket.Conn) { c.SendPiece(websocket.Text, nil, true) })
	if n := waiters - left; n == 0 || n > most {
		t.Errorf("%d were sent by one call", n)
	}
	p.Expect(wsproto.Text, "begin")
	for range waiters {
		p.Expect(wsproto.Text, text)
	}
}
