package websocket_test

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestSmallMessagesBetweenPrepared: what waits for a peer that does not read takes memory in
// proportion to its bytes, also if short messages of its own alternate with prepared ones. It was
// 314 MiB for 1.6 MB.
func TestSmallMessagesBetweenPrepared(t *testing.T) {
	waiting := make(chan int, 1)
	var eng *engine.Engine
	url := wstest.Serve(t, &websocket.Server{Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
		eng = c.EngineConn().Engine()
		fill := websocket.Prepare(websocket.Binary, make([]byte, 1<<20))
		for c.Pressure() != engine.OverHighWater {
			c.SendPrepared(fill, engine.SlowWait)
		}
		n := 2 << 20
		p, own := websocket.Prepare(websocket.Binary, make([]byte, 300)), make([]byte, 20)
		for range 5000 {
			if err := c.SendPrepared(p, engine.SlowWait); err != nil {
				t.Error(err)
			}
			if _, err := c.Send(websocket.Binary, own); err != nil {
				t.Error(err)
			}
			n += 320
		}
		waiting <- n
	}})
	p := wstest.Dial(t, url, nil)
	p.Send(wsproto.Binary, "x")
	n := <-waiting
	s, err := eng.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Buffered > 4*n {
		t.Errorf("%d bytes take %d", n, s.Buffered)
	}
}
