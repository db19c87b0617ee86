package websocket_test

import (
	"bytes"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestRateOfAStream: Server.Rate had no effect on a connection that is a Stream.
func TestRateOfAStream(t *testing.T) {
	for name, s := range map[string]*websocket.Server{
		"whole":     {},
		"in pieces": {Piece: func(*websocket.Conn, websocket.Opcode, []byte, bool) { t.Error("Piece of a Stream") }},
	} {
		t.Run(name, func(t *testing.T) {
			var exceeded atomic.Int64
			const sent, burst, each = 30, 10, 5 * time.Millisecond
			s.Rate = &websocket.Rate{Messages: float64(time.Second / each), Burst: burst,
				Exceeded: func(*websocket.Conn) { exceeded.Add(1) }}
			_, c, stream := streaming(t, s, websocket.Binary)
			begun := time.Now()
			for range sent {
				wsutil.WriteClientBinary(c, []byte("12345678"))
			}
			got := make([]byte, sent*8)
			if _, err := io.ReadFull(stream, got); err != nil || string(got) != strings.Repeat("12345678", sent) {
				t.Errorf("%q, %v", got, err)
			}
			if took := time.Since(begun); took < (sent-burst-1)*each || exceeded.Load() == 0 {
				t.Errorf("it took %v, and Exceeded was called %d times", took, exceeded.Load())
			}
		})
	}
}

// TestRateDoesNotResumeAStream that nobody reads: it would hold more than its limit.
func TestRateDoesNotResumeAStream(t *testing.T) {
	var exceeded atomic.Int64
	s := &websocket.Server{Rate: &websocket.Rate{Messages: 200, Burst: 1,
		Exceeded: func(*websocket.Conn) { exceeded.Add(1) }}}
	_, c, stream := streaming(t, s, websocket.Binary)
	const size, sent = 40 << 10, 20
	message := bytes.Repeat([]byte("x"), size)
	go func() {
		for range sent {
			wsutil.WriteClientBinary(c, bytes.Clone(message))
		}
	}()
	until(t, "pause", func() bool { return websocket.Unread(stream) >= 2*size })
	paused := make(chan bool)
	for range 5 { // 5 x 20 ms: the Rate's pauses are over
		websocket.HandleOf(stream).Post(func(c *websocket.Conn) {
			c.AfterFunc(20*time.Millisecond, func() { paused <- !c.EngineConn().Reading() })
		})
		if !<-paused || websocket.Unread(stream) != 2*size {
			t.Fatalf("the peer is read from, and %d bytes are unread", websocket.Unread(stream))
		}
	}
	if n, err := io.ReadFull(stream, make([]byte, sent*size)); err != nil {
		t.Errorf("%d bytes, and %v", n, err)
	}
}
