package websocket_test

import (
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// maxPerHandshake is how many allocations a handshake and the end of its connection may take.
const maxPerHandshake = 4

// TestHandshakeCallbackCostsNothing: what a callback does not ask for is not made.
func TestHandshakeCallbackCostsNothing(t *testing.T) {
	allocations := func(callback func(*websocket.Handshake)) float64 {
		_, address := start(t, &websocket.Server{Handshake: callback}, engine.Config{Loops: 1})
		_, port, _ := net.SplitHostPort(address)
		request, answer, n := []byte(openingRequest("/chat")), make([]byte, 1024), 0
		for _, c := range port {
			n = 10*n + int(c-'0')
		}
		handshake := func() {
			fd := rawPeer(t, n)
			syscall.Write(fd, request)
			if n, _ := syscall.Read(fd, answer); n < 12 || string(answer[9:12]) != "101" {
				t.Fatalf("%q", answer[:n])
			}
			syscall.Close(fd)
		}
		handshake()
		// Not testing.AllocsPerRun, which rounds down: 3.99 and 4.01 would differ by one.
		const runs = 500
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			handshake()
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / runs
	}
	plain := allocations(nil)
	raw := allocations(func(h *websocket.Handshake) {
		if string(h.Raw.Path) != "/chat" || h.Raw.Header("Host") == nil {
			h.Refuse(404, "not found\n")
		}
	})
	whole := allocations(func(h *websocket.Handshake) { h.Request() })
	t.Logf("%v allocations without a callback, %v with one that reads Raw, %v with Request", plain, raw, whole)
	if raw > plain+0.5 || plain >= maxPerHandshake+1 {
		t.Errorf("%v allocations per handshake with a callback that asks for nothing, %v without; limit %d", raw, plain,
			maxPerHandshake)
	}
	if whole <= raw {
		t.Error("the test counts nothing")
	}
}
