package websocket_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestHeldMessagesDoNotHoldTheLoop: what waits for the end of a message in pieces was all
// compressed when that came, in one call. A client that asked for an echo of 36,000 messages of 300
// bytes during a SendFrom stopped the loop for 340 ms.
func TestHeldMessagesDoNotHoldTheLoop(t *testing.T) {
	const messages = 1000
	text := func(i int) string { return fmt.Sprint(i, strings.Repeat(" some text", 30)) }
	for _, takeover := range []bool{false, true} {
		t.Run(fmt.Sprint(takeover), func(t *testing.T) {
			url := wstest.Serve(t, &websocket.Server{Compression: &websocket.Compression{ServerTakeover: takeover},
				Open: func(c *websocket.Conn) {
					c.SendPiece(websocket.Text, []byte("begin "), false)
					for i := range messages {
						if i%2 == 0 {
							c.Send(websocket.Text, []byte(text(i)))
						} else {
							c.SendPrepared(websocket.Prepare(websocket.Text, []byte(text(i))), engine.SlowWait)
						}
					}
					c.SendPiece(websocket.Text, []byte("end"), true)
					c.Send(websocket.Text, []byte(text(messages)))
				}})
			offer := &wstest.Offer{Deflate: &wsproto.Deflate{ServerNoContextTakeover: !takeover}}
			p := wstest.Dial(t, url, offer)
			p.Expect(wsproto.Text, "begin end")
			for i := range messages + 1 {
				p.Expect(wsproto.Text, text(i))
			}
			p = wstest.Dial(t, url, offer)
			p.Frame()
			p.Frame()
			packed := 0
			for range messages {
				if f := p.Frame(); f.RSV&wsproto.RSV1 != 0 {
					packed += len(text(0))
				}
			}
			if packed == 0 || packed > 64<<10 {
				t.Errorf("%d bytes of what was held are compressed", packed)
			}
			if f := p.Frame(); f.RSV&wsproto.RSV1 == 0 {
				t.Error("what comes behind is not compressed")
			}
		})
	}
}
