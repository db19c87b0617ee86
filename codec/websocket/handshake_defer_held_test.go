package websocket_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestDeferredRequestsAreCounted: requests that wait for Deferred.Decide were not counted for
// engine.Config.MaxBuffered: 16,384 of them, the default of MaxHandshakes, held 256 MiB and more.
func TestDeferredRequestsAreCounted(t *testing.T) {
	const peers, fields, size = 200, 90, 150
	var long []string
	for i := range fields {
		long = append(long, fmt.Sprintf("X-Long-%d: %s", i, strings.Repeat("x", size)))
	}
	for _, test := range []struct {
		name    string
		request bool // the callback asks for the http.Request
		end     func(t *testing.T, d *websocket.Deferred, c *client)
	}{
		{"the client leaves", false, func(_ *testing.T, _ *websocket.Deferred, c *client) { c.Close() }},
		{"accepted", false, func(t *testing.T, d *websocket.Deferred, _ *client) { decide(t, d, agreed) }},
		{"with its Request", true, func(t *testing.T, d *websocket.Deferred, _ *client) { decide(t, d, agreed) }},
		{"refused", true, func(t *testing.T, d *websocket.Deferred, _ *client) {
			decide(t, d, func(h *websocket.Handshake) { h.Refuse(403, "no") })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			deferred := make(chan *websocket.Deferred, peers)
			s := &websocket.Server{Handshake: func(h *websocket.Handshake) {
				if test.request {
					h.Request()
				}
				deferred <- h.Defer()
			}, Refused: func(websocket.Refusal) {}}
			eng, address := start(t, s, engine.Config{Loops: 1})
			before := inUse()
			var clients []*client
			var all []*websocket.Deferred
			for range peers {
				clients = append(clients, connect(t, address, openingRequest("/", long...)))
				all = append(all, receive(t, "Handshake", deferred))
			}
			counted := 0
			await(t, eng, func(s engine.Stats) bool {
				counted = s.Held
				return s.Held >= peers*fields*size
			})
			// Timers, buffers of the clients, and the like are not counted.
			if grown := inUse() - before; counted < grown*8/10-512<<10 {
				t.Errorf("the heap has grown by %d bytes, Stats says %d", grown, counted)
			}
			for i, d := range all {
				test.end(t, d, clients[i])
			}
			await(t, eng, func(s engine.Stats) bool { return s.Buffered == 0 && s.Held == 0 })
		})
	}
}
