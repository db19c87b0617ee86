package websocket_test

import (
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestHandshakeThatIsKept reaches no other client's: it was pooled, and a late Refuse refused
// whoever came next.
func TestHandshakeThatIsKept(t *testing.T) {
	var kept *websocket.Handshake
	var refused atomic.Int32
	_, address := start(t, &websocket.Server{Handshake: func(h *websocket.Handshake) {
		if kept == nil {
			kept = h
			return
		}
		if kept == h || kept.Raw != nil || kept.Conn != nil {
			t.Errorf("the Handshake of an earlier client is %+v", kept)
		}
		kept.Refuse(403, "late\n")
		kept.Subprotocol = "late"
		kept.ResponseHeader().Set("Late", "yes")
		func() {
			defer func() {
				if recover() != nil {
					refused.Add(1)
				}
			}()
			kept.Request()
		}()
	}}, engine.Config{Loops: 1})
	const later = 20
	for range 1 + later {
		if _, status := openRaw(t, address, "/"); status != 101 {
			t.Errorf("status %d", status)
		}
	}
	if n := refused.Load(); n != later {
		t.Errorf("Request panicked %d times after the callback, want %d", n, later)
	}
}
