package websocket_test

import (
	"io"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestStreamHasItsRate: Server.Rate had no effect on a connection that is a Stream.
func TestStreamHasItsRate(t *testing.T) {
	const size, sent, burst = 70 << 10, 8, 2 // each message fills a Stream
	message := ws.MaskFrame(ws.NewBinaryFrame(make([]byte, size)))
	for name, excess := range map[string]websocket.ExcessPolicy{
		"pause": websocket.PauseExcess, "drop": websocket.DropExcess, "close": websocket.CloseExcess,
	} {
		for _, pieces := range []bool{false, true} {
			if pieces {
				name += " pieces"
			}
			t.Run(name, func(t *testing.T) {
				server := &websocket.Server{Rate: &websocket.Rate{Messages: 50, Burst: burst, Excess: excess}}
				if pieces {
					server.Piece = func(*websocket.Conn, websocket.Opcode, []byte, bool) {
						t.Error("Piece of a Stream")
					}
				}
				_, c, s := streaming(t, server, websocket.Binary)
				go func() {
					for range sent {
						if ws.WriteFrame(c, message) != nil {
							return
						}
					}
				}()
				if excess == websocket.CloseExcess {
					go io.Copy(io.Discard, s)
					if code, _ := c.closeCode(t); code != 1008 {
						t.Errorf("close code %d", code)
					}
					return
				}
				before := time.Now()
				if _, err := io.CopyN(io.Discard, s, sent*size); err != nil {
					t.Fatal(err)
				}
				// the pause behind the last message does not count
				if took, least := time.Since(before), (sent-burst-1)*time.Second/50; took < least {
					t.Errorf("%d messages took %v, want at least %v", sent, took, least)
				}
			})
		}
	}
}

// TestStreamWithARateIsBounded: the end of a pause for the rate does not let a full Stream grow.
func TestStreamWithARateIsBounded(t *testing.T) {
	const size, sent = 32 << 10, 60
	message := ws.MaskFrame(ws.NewBinaryFrame(make([]byte, size)))
	_, c, s := streaming(t, &websocket.Server{Rate: &websocket.Rate{Messages: 200, Burst: 1}}, websocket.Binary)
	go func() {
		for range sent {
			if ws.WriteFrame(c, message) != nil {
				return
			}
		}
	}()
	until(t, "pause", func() bool { return websocket.Unread(s) >= 64<<10 })
	later := make(chan bool)
	websocket.HandleOf(s).Post(func(c *websocket.Conn) {
		c.AfterFunc(100*time.Millisecond, func() { close(later) }) // many pauses for the rate
	})
	receive(t, "timer", later)
	if n := websocket.Unread(s); n > 64<<10+size {
		t.Errorf("%d bytes are received and not read", n)
	}
	if _, err := io.CopyN(io.Discard, s, sent*size); err != nil {
		t.Fatal(err)
	}
}
