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
