package websocket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestClientBroadcastsBySlowPolicy: a client queued what it was to drop, until MaxOutbound closed
// the connection, and never closed one for being slow.
func TestClientBroadcastsBySlowPolicy(t *testing.T) {
	const size, messages = 16 << 10, 200
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) { c.EngineConn().PauseRead() }},
		engine.Config{Loops: 1})
	p := websocket.Prepare(websocket.Text, []byte(strings.Repeat("0123456789abcdef", size/16)))
	for _, slow := range []engine.SlowPolicy{engine.SlowDropNewest, engine.SlowDropOldest, engine.SlowClose} {
		t.Run(slow.String(), func(t *testing.T) {
			closed := make(chan error, 1)
			cl := &websocket.Client{Close: func(_ *websocket.Conn, err error) { closed <- err }}
			o := open(t, cl, running(t, engine.Config{Loops: 1, SlowGrace: 1}), "ws://"+address)
			if o.err != nil {
				t.Fatal(o.err)
			}
			waits := make(chan int, 1)
			o.c.Handle().Post(func(c *websocket.Conn) {
				c.EngineConn().SetWriteBuffer(64 << 10)
				for range messages {
					if err := c.SendPrepared(p, slow); err != nil && slow != engine.SlowClose {
						t.Error(err)
						break
					}
				}
				waits <- c.EngineConn().Outbound()
			})
			n := receive(t, "messages", waits)
			if slow != engine.SlowClose {
				if n > 6*size {
					t.Errorf("%d bytes wait", n)
				}
			} else if err := receive(t, "Close", closed); !errors.Is(err, engine.ErrSlow) {
				t.Errorf("closed: %v", err)
			}
		})
	}
}
