package engine_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestBudgetWaitsForWhatIsSwept: what a closed connection had was still counted until it was put
// back, in parts, so the loop closed the other connections that had anything, too.
func TestBudgetWaitsForWhatIsSwept(t *testing.T) {
	const most, readers = 40 << 20, 10
	config := engine.Config{Loops: 1, MaxBuffered: most, MaxOutbound: 1 << 30, Logger: quiet}
	eng, handles, reasons := stuck(t, config, readers)
	for i := range 200 { // 12.5 MiB, which they share, and the kernel does not take whole
		if err := engine.Broadcast(slices.Values(handles), make([]byte, 64<<10), engine.SlowWait); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			stats(t, eng) // when it has run
		}
	}
	if n := stats(t, eng).Buffered; n > most/2 {
		t.Fatalf("%d bytes are buffered at first", n)
	}
	shareUntil(t, handles[0], 1<<30, func() []byte { return make([]byte, 4<<10) }, engine.SlowWait)
	if err := receive(t, "end of a connection", reasons); !errors.Is(err, engine.ErrBufferLimit) {
		t.Errorf("reason %v", err)
	}
	eventually(t, "sweep", func() bool { return stats(t, eng).Buffered < most/2 })
	if n := stats(t, eng).Closed[engine.CauseLimit]; n != 1 {
		t.Errorf("%d connections were closed", n)
	}
}

// TestSweepKeepsUp: what closed connections had was put back more slowly than a busy loop made
// more, and 400 MB that did not count waited for it after some seconds.
func TestSweepKeepsUp(t *testing.T) {
	const conns, messages = 20, 50_000
	_, handles, reasons := stuck(t, engine.Config{Loops: 1, MaxOutbound: 1 << 30, Logger: quiet}, conns)
	message, out := make([]byte, 200), make(chan int, conns)
	for _, h := range handles {
		h.Post(func(c *engine.Conn) {
			for range messages {
				c.WriteShared(message, engine.SlowWait)
			}
			out <- engine.ChunksOut(c)
			c.Abort()
		})
	}
	for range conns {
		if n := receive(t, "chunks", out); n > 4*messages {
			t.Errorf("%d chunks are out", n)
		}
		receive(t, "end", reasons)
	}
}

// litter leaves many small chunks to be put back, of connections that are closed together.
func litter(t *testing.T, handles []engine.Handle) {
	t.Helper()
	message, done := make([]byte, 100), make(chan bool)
	for _, h := range handles {
		h.Post(func(c *engine.Conn) {
			for range 150_000 {
				c.WriteShared(message, engine.SlowWait)
			}
			done <- true
		})
		receive(t, "write", done)
	}
	if err := engine.Each(slices.Values(handles), (*engine.Conn).Abort); err != nil {
		t.Fatal(err)
	}
}

// TestSweepKeepsUpWithLargeChunks: behind many small chunks of closed connections, as many large
// ones waited to be put back: some turns later that was several times the budget.
func TestSweepKeepsUpWithLargeChunks(t *testing.T) {
	const most, conns = 64 << 20, 40
	config := engine.Config{Loops: 1, MaxBuffered: most, Logger: quiet}
	_, handles, _ := stuck(t, config, 3+conns)
	litter(t, handles[:3])
	grown := make(chan uint64, conns)
	for i, h := range handles[3:] {
		h.Post(func(c *engine.Conn) {
			c.Write(make([]byte, 16<<20))
			c.Abort()
			if i%10 == 9 {
				grown <- heap()
			}
		})
	}
	for range conns / 10 {
		// what is freed in Post is garbage a turn later, and pools keep a little
		if n := receive(t, "heap", grown); n > 2*most {
			t.Errorf("the heap has %d bytes, the budget is %d", n, most)
		}
	}
}

// TestBudgetDoesNotWaitForWhatIsSwept: as long as chunks of closed connections were put back, no
// connection was closed, however much the others held.
func TestBudgetDoesNotWaitForWhatIsSwept(t *testing.T) {
	const most, conns, each = 64 << 20, 60, 8 << 20
	config := engine.Config{Loops: 1, MaxBuffered: most, Logger: quiet}
	_, handles, reasons := stuck(t, config, 4+conns)
	litter(t, handles[:4])
	held := make(chan int, conns)
	for _, h := range handles[4:] {
		h.Post(func(c *engine.Conn) {
			c.Write(make([]byte, each))
			held <- engine.BytesHeld(c)
		})
	}
	largest := 0
	for range conns {
		select {
		case n := <-held:
			largest = max(largest, n)
		case <-reasons: // its Post is not run
		}
	}
	if bound := most + 3*each; largest > bound {
		t.Errorf("%d bytes are held, the budget is %d", largest, most)
	}
}
