package websocket_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestHostsAgainstRebinding: with Hosts, neither the WebSocket nor the Handler answers a page whose
// name was resolved to the server's address, on the loop and in Upgrade.
func TestHostsAgainstRebinding(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
	server := &websocket.Server{Hosts: []string{"a", "https://b"}, Handler: page}
	mux := &websocket.Mux{
		Servers: map[string]*websocket.Server{"/": {}},
		Hosts:   []string{"a", "https://b"},
		Handler: page,
	}
	accepts := map[string]func(*engine.Conn) engine.Protocol{"Server": server.Accept, "Mux": mux.Accept}
	for name, accept := range accepts {
		t.Run(name, func(t *testing.T) {
			address := startAccept(t, accept)
			for _, test := range []struct {
				name, host, origin string
				upgrade, page      int
			}{
				{name: "own", host: "a", origin: "http://a", upgrade: 101, page: 200},
				{name: "rebound", host: "evil.example", origin: "http://evil.example", upgrade: 421, page: 421},
				{name: "other scheme", host: "b", origin: "http://b", upgrade: 403, page: 200},
				{name: "own scheme", host: "b", origin: "https://b", upgrade: 101, page: 200},
			} {
				t.Run(test.name, func(t *testing.T) {
					fields := "\r\nHost: " + test.host + "\r\nOrigin: " + test.origin + "\r\n"
					upgrade := "GET / HTTP/1.1" + fields + "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
						"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
					connect(t, address, upgrade).response(t, test.upgrade)
					c := connect(t, address, "GET / HTTP/1.1"+fields+"\r\n")
					c.response(t, test.page)
					if test.page == 200 { // on a connection that net/http has
						io.WriteString(c, upgrade)
						c.response(t, test.upgrade)
					}
				})
			}
		})
	}
}
