package websocket_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestCompressingCountsForTheTurn: small requests come in one read, and each has a large answer
// that is compressed to little. What that takes was not counted, so a thousand of them took a
// second.
func TestCompressingCountsForTheTurn(t *testing.T) {
	const requests, size, most = 64, 64 << 10, 2
	answer := bytes.Repeat([]byte("01234567"), size/8)
	for _, test := range []struct {
		name   string
		answer func(c *websocket.Conn)
	}{
		{"Send", func(c *websocket.Conn) { c.Send(websocket.Text, answer) }},
		{"SendPiece", func(c *websocket.Conn) {
			c.SendPiece(websocket.Text, answer, false)
			c.SendPiece(websocket.Text, nil, true)
		}},
		{"SendPrepared", func(c *websocket.Conn) {
			c.SendPrepared(websocket.Prepare(websocket.Text, answer), 0)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			turns := make(map[time.Duration]int) // by the loop's time, which stands still in a turn
			done := make(chan int, 1)
			answered := 0
			url := wstest.Serve(t, &websocket.Server{
				Compression: new(websocket.Compression),
				Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
					turns[c.EngineConn().Now()]++
					test.answer(c)
					if answered++; answered == requests {
						worst := 0
						for _, n := range turns {
							worst = max(worst, n)
						}
						done <- worst
					}
				}})
			p := wstest.Dial(t, url, &wstest.Offer{Deflate: &wsproto.Deflate{
				ServerNoContextTakeover: true, ClientNoContextTakeover: true}})
			var all []byte
			for range requests {
				all = wstest.Frame{Opcode: wsproto.Text, Payload: "x"}.Append(all, wsproto.Client)
			}
			p.SendRaw(all)
			for range requests {
				p.Expect(wsproto.Text, string(answer))
			}
			if worst := <-done; worst > most {
				t.Errorf("%d answers were compressed in a turn, want at most %d", worst, most)
			}
		})
	}
}
