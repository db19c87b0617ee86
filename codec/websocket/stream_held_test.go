package websocket_test

import (
	"io"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// onLoop calls f on the loop of a Stream, and returns when it has returned.
func onLoop(t *testing.T, s *websocket.Stream, f func(c *websocket.Conn)) {
	t.Helper()
	done := make(chan bool)
	if err := websocket.HandleOf(s).Post(func(c *websocket.Conn) { f(c); close(done) }); err != nil {
		t.Fatal(err)
	}
	receive(t, "loop", done)
}

// TestStreamGivesBackWhatWasRead: a large message that was read counted for MaxBuffered until the
// next one came, so that idle Streams used the budget up.
func TestStreamGivesBackWhatWasRead(t *testing.T) {
	const size = 900_000
	eng, c, s := streaming(t, &websocket.Server{}, websocket.Binary)
	if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(make([]byte, size)))); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{size - 10_000, 10_000} { // behind the first, the peer is read from
		if _, err := io.CopyN(io.Discard, s, int64(n)); err != nil {
			t.Fatal(err)
		}
		onLoop(t, s, func(*websocket.Conn) {})
	}
	until(t, "end of what is held", func() bool {
		stats, err := eng.Stats(t.Context())
		return err == nil && stats.Held == 0
	})
}

// TestStreamIsFullAgain: somebody has read from a full Stream, a pause for its Rate ends before the
// loop knows, and the peer fills it again. Then it was read from as if the Stream had room.
func TestStreamIsFullAgain(t *testing.T) {
	const size, sent = 32 << 10, 100
	message := ws.MaskFrame(ws.NewBinaryFrame(make([]byte, size)))
	_, c, s := streaming(t, &websocket.Server{Rate: &websocket.Rate{Messages: 1e6}}, websocket.Binary)
	go func() {
		for range sent {
			if ws.WriteFrame(c, message) != nil {
				return
			}
		}
	}()
	read := 0
	until(t, "full Stream", func() bool { return websocket.Unread(s) >= 64<<10 })
	done := make(chan bool)
	onLoop(t, s, func(c *websocket.Conn) {
		c.AfterFunc(0, func() { // behind the tasks of a turn
			read, _ = s.Read(make([]byte, 1<<20))
			websocket.EndExcess(c)
			close(done)
		})
	})
	receive(t, "timer", done)
	until(t, "full Stream", func() bool { return websocket.Unread(s) >= 64<<10 })
	for range 20 {
		onLoop(t, s, func(*websocket.Conn) {})
	}
	if n := websocket.Unread(s); n > 64<<10+size {
		t.Errorf("%d bytes are received and not read", n)
	}
	if _, err := io.CopyN(io.Discard, s, int64(sent*size-read)); err != nil {
		t.Fatal(err)
	}
}

// TestRateGivesBackWhatItHasPausedBehind: a large message behind which a Rate had paused the peer
// stayed in memory until that sent something else.
func TestRateGivesBackWhatItHasPausedBehind(t *testing.T) {
	delivered := make(chan int, 2)
	eng, address := start(t, &websocket.Server{Rate: &websocket.Rate{Messages: 50, Burst: 1},
		Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { delivered <- len(data) },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	for range 2 {
		if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 900_000)))); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, "message", delivered)
	receive(t, "message", delivered)
	until(t, "end of what is held", func() bool { return countersOf(t, eng).Held == 0 })
}
