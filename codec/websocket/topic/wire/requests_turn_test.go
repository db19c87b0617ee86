package wire_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestRequestsCountForTheTurn: a thousand requests come in one read. To subscribe and to leave
// takes 5 to 15 us each, and counted for no more than any message, so one peer held its loop for 13
// ms in each turn.
func TestRequestsCountForTheTurn(t *testing.T) {
	const rounds = 600
	for _, test := range []struct {
		name     string
		requests []string
		most     int // of them in a turn
	}{
		{"subscribe and leave", []string{"\x01\x04room", "\x02\x04room"}, 130},
		{"publish", []string{"\x03\x00\x04room\x02x"}, 520},
	} {
		t.Run(test.name, func(t *testing.T) {
			turns := make(map[time.Duration]int) // by the loop's time, which stands still in a turn
			done := make(chan int, 1)
			e := &wire.Endpoint{Hub: new(topic.Hub), Publish: shout}
			n := 0
			url := wstest.Serve(t, &websocket.Server{Subprotocols: e.Subprotocols(),
				Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
					turns[c.EngineConn().Now()]++
					e.Message(c, op, data)
					if n++; n == rounds*len(test.requests) {
						worst := 0
						for _, n := range turns {
							worst = max(worst, n)
						}
						done <- worst
					}
				}})
			p := dial(t, url, wire.SubprotocolBinary)
			var all []byte
			for range rounds {
				for _, request := range test.requests {
					all = wstest.Frame{Opcode: wsproto.Binary, Payload: request}.Append(all, wsproto.Client)
				}
			}
			p.SendRaw(all)
			if worst := <-done; worst > test.most {
				t.Errorf("%d requests in a turn, want at most %d", worst, test.most)
			}
		})
	}
}
