package websocket_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestWindowsCountForTheTurn: with context takeover the compressor reads 32 KiB before each
// message, which takes 50 to 550 us. Only the bytes of the message counted, so that 400 echoes of
// 300 bytes held the loop for 20 to 200 ms.
func TestWindowsCountForTheTurn(t *testing.T) {
	const echoes, size = 128, 300
	for _, test := range []struct {
		level    int
		takeover bool
		most     int
	}{{1, false, 64}, {1, true, 4}, {3, true, 3}, {6, true, 2}, {9, true, 4}} {
		t.Run(fmt.Sprint(test.level, test.takeover), func(t *testing.T) {
			turns := make(map[time.Duration]int) // by the loop's time, which stands still in a turn
			done := make(chan int, 1)
			answered := 0
			url := wstest.Serve(t, &websocket.Server{
				Compression: &websocket.Compression{Level: test.level, ServerTakeover: test.takeover},
				Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
					turns[c.EngineConn().Now()]++
					c.Send(op, data)
					if answered++; answered == echoes {
						worst := 0
						for _, n := range turns {
							worst = max(worst, n)
						}
						done <- worst
					}
				}})
			p := wstest.Dial(t, url, &wstest.Offer{Deflate: &wsproto.Deflate{ServerNoContextTakeover: !test.takeover}})
			var all []byte
			for i := range echoes {
				f := wstest.Frame{Opcode: wsproto.Text, Payload: fmt.Sprintf("%0*d", size, i)}
				all = f.Append(all, wsproto.Client)
			}
			p.SendRaw(all)
			for i := range echoes {
				p.Expect(wsproto.Text, strings.Repeat("0", size-len(fmt.Sprint(i)))+fmt.Sprint(i))
			}
			if worst := <-done; worst > test.most {
				t.Errorf("%d messages were compressed in a turn, want at most %d", worst, test.most)
			}
		})
	}
}
