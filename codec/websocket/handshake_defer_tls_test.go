package websocket_test

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestDeferredHandshakeIsSecure: the Raw of Decide did not know of TLS, so that its CheckOrigin let
// pages pass that had come in plain text.
func TestDeferredHandshakeIsSecure(t *testing.T) {
	checked := make(chan error, 1)
	s := &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			h.Defer().Decide(func(h *websocket.Handshake) {
				if h.Raw.Secure {
					checked <- h.Raw.CheckOrigin(nil)
					return
				}
				t.Error("not secure")
				checked <- nil
			})
		},
		Origins: []string{"*"},
	}
	c := startTLS(t, s, engine.ListenConfig{}).connect(t, openingRequest("/", "Origin: http://a"))
	c.response(t, 101)
	if err := receive(t, "Decide", checked); err == nil {
		t.Error("a page that came in plain text passes")
	}
}

// TestDeferredHandshakeOfAMux: nor did it know of the scheme in Mux.Hosts.
func TestDeferredHandshakeOfAMux(t *testing.T) {
	checked := make(chan error, 2)
	s := &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			checked <- h.Raw.CheckOrigin(nil)
			h.Defer().Decide(func(h *websocket.Handshake) { checked <- h.Raw.CheckOrigin(nil) })
		},
		Origins: []string{"*"},
	}
	m := &websocket.Mux{Servers: map[string]*websocket.Server{"/": s}, Hosts: []string{"https://a"}}
	address := startAccept(t, m.Accept)
	c := connect(t, address, openingRequest("/", "Origin: http://a"))
	c.response(t, 101)
	for _, where := range []string{"Handshake", "Decide"} {
		if receive(t, where, checked) == nil {
			t.Errorf("%s: a page that came in plain text passes", where)
		}
	}
}

// TestHostsOfAServerInAMux: Hosts of the Server without a scheme took that in Mux.Hosts back.
func TestHostsOfAServerInAMux(t *testing.T) {
	m := &websocket.Mux{Hosts: []string{"https://a", "https://b"}, Servers: map[string]*websocket.Server{
		"/": {Hosts: []string{"a"}, Refused: func(websocket.Refusal) {}}}}
	address := startAccept(t, m.Accept)
	for origin, status := range map[string]int{"http://a": 403, "https://a": 101} {
		connect(t, address, openingRequest("/", "Origin: "+origin)).response(t, status)
	}
}
