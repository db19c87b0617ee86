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
	eng, handles, reasons := stuck(t, engine.Config{Loops: 1, MaxBuffered: most, MaxOutbound: 1 << 30, Logger: quiet}, readers)
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
