package websocket_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

var local = &websocket.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// behind is an opening handshake that a proxy passes on.
func behind(client string) string {
	return openingRequest("/rooms/1", "X-Forwarded-For: 198.51.100.1, "+client)
}

// TestProxiesTellTheClient: in every callback, in Refusal, and to the Handler by ClientAddr, for
// connections of Accept, of a Mux, and of Upgrade.
func TestProxiesTellTheClient(t *testing.T) {
	seen := make(chan string, 10)
	tell := func(what string, addr netip.AddrPort) { seen <- what + " " + addr.String() }
	newServer := func() *websocket.Server {
		return &websocket.Server{
			Proxies: local,
			Handshake: func(h *websocket.Handshake) {
				tell("Handshake", h.Conn.RemoteAddr())
				tell("Request", websocket.ClientAddr(h.Request(), local))
				if peer := netip.MustParseAddrPort(h.Request().RemoteAddr); !peer.Addr().IsLoopback() {
					t.Errorf("Request.RemoteAddr is %v", peer)
				}
				if len(h.Raw.Header("Cookie")) > 0 {
					h.Refuse(401, "no cookies\n")
				}
			},
			Close:   func(c *websocket.Conn, _ error) { tell("Close", c.RemoteAddr()) },
			Refused: func(r websocket.Refusal) { tell("Refused", r.RemoteAddr) },
		}
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, websocket.ClientAddr(r, local))
	})
	s := newServer()
	s.Handler = page
	eng, accepted := start(t, s, engine.Config{Loops: 1})
	upgraded, _ := taking(t, newServer(), eng)
	m := &websocket.Mux{Servers: map[string]*websocket.Server{"/rooms/1": newServer()}, Handler: page, Proxies: local}
	muxed, err := eng.Listen("tcp", "127.0.0.1:0", m.Accept)
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"Accept": accepted, "Upgrade": upgraded, "Mux": muxed.String()} {
		t.Run(name, func(t *testing.T) {
			expect := func(all ...string) {
				t.Helper()
				for _, want := range all {
					if got := receive(t, want, seen); got != want+" 192.0.2.1:0" {
						t.Errorf("%s, want %s of 192.0.2.1:0", got, want)
					}
				}
			}
			c := connect(t, address, behind("192.0.2.1"))
			c.response(t, 101)
			expect("Handshake", "Request")
			c.Close()
			expect("Close")
			c = connect(t, address, openingRequest("/rooms/1", "X-Forwarded-For: 192.0.2.1", "Cookie: a=b"))
			c.response(t, 401)
			expect("Handshake", "Request", "Refused")
			c = connect(t, address, openingRequest("/rooms/1", "X-Forwarded-For: 192.0.2.1",
				"Origin: https://evil.example"))
			c.response(t, 403)
			expect("Refused")
			if name == "Upgrade" {
				return
			}
			c = connect(t, address,
				"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n")
			if _, text := c.response(t, 200); text != "192.0.2.1:0" {
				t.Errorf("the Handler sees %s", text)
			}
		})
	}
}

// TestProxiesOfStrangers: a client that is no proxy cannot choose its address.
func TestProxiesOfStrangers(t *testing.T) {
	seen := make(chan netip.AddrPort, 1)
	s := &websocket.Server{
		Proxies:   &websocket.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		Handshake: func(h *websocket.Handshake) { seen <- h.Conn.RemoteAddr() },
	}
	_, address := start(t, s, engine.Config{Loops: 1})
	c := connect(t, address, behind("192.0.2.1"))
	c.response(t, 101)
	if got := receive(t, "Handshake", seen); got.String() != c.LocalAddr().String() {
		t.Errorf("a stranger is %v", got)
	}
}

// TestProxiesLimits: all clients behind a proxy were one for the limits per address.
func TestProxiesLimits(t *testing.T) {
	forwarded := func(client string) string { return "X-Forwarded-For: " + client }
	for _, test := range []struct {
		name    string
		server  *websocket.Server
		request func(client string) string
		status  int // of what the limit allows; 0: it is not answered
		over    int
	}{
		{name: "handshakes", status: 0, over: 503,
			server: &websocket.Server{MaxHandshakesPerAddress: 2,
				Handshake: func(h *websocket.Handshake) { h.Defer() }},
			request: func(client string) string { return openingRequest("/", forwarded(client)) }},
		{name: "a share of handshakes", status: 0, over: 503,
			server: &websocket.Server{MaxHandshakes: 10,
				Handshake: func(h *websocket.Handshake) { h.Defer() }},
			request: func(client string) string { return openingRequest("/", forwarded(client)) }},
		{name: "WebSockets", status: 101, over: 429,
			server:  &websocket.Server{MaxPerAddress: 2},
			request: func(client string) string { return openingRequest("/", forwarded(client)) }},
		{name: "HTTP", status: 200, over: 503,
			server: &websocket.Server{MaxHTTPPerAddress: 2,
				Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})},
			request: func(client string) string {
				return "GET / HTTP/1.1\r\nHost: a\r\n" + forwarded(client) + "\r\n\r\n"
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.Proxies = local
			test.server.Refused = func(websocket.Refusal) {}
			_, address := start(t, test.server, engine.Config{Loops: 2})
			for range 2 { // what one gives back another one gets
				var open []*client
				for i, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"} {
					var c *client
					until(t, fmt.Sprint("place for connection ", i), func() bool {
						c = connect(t, address, test.request(from))
						if test.status == 0 {
							return true
						}
						resp, err := http.ReadResponse(c.r, nil)
						return err == nil && resp.StatusCode == test.status
					})
					open = append(open, c)
				}
				until(t, "refusal", func() bool { // of the deferred ones some are on their way
					c := connect(t, address, test.request("192.0.2.1"))
					c.SetReadDeadline(time.Now().Add(time.Second / 4))
					resp, err := http.ReadResponse(c.r, nil)
					return err == nil && resp.StatusCode == test.over
				})
				for _, c := range open {
					c.Close()
				}
				if test.status == 0 {
					return // nothing tells when the places are free
				}
			}
		})
	}
}

// TestMaxPerAddressIsGivenBack: whatever else the connection has needed and given back meanwhile.
func TestMaxPerAddressIsGivenBack(t *testing.T) {
	s := &websocket.Server{MaxPerAddress: 1, Message: echo, Compression: &websocket.Compression{ServerTakeover: true},
		Refused: func(websocket.Refusal) {}}
	_, address := start(t, s, engine.Config{Loops: 1})
	for range 3 {
		var c *client
		until(t, "a free place", func() bool {
			c = connect(t, address, openingRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"))
			resp, err := http.ReadResponse(c.r, nil)
			return err == nil && resp.StatusCode == 101
		})
		if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame([]byte("x")))); err != nil {
			t.Fatal(err)
		}
		if f, err := readFrame(c.r); err != nil || f.Header.OpCode != ws.OpPong {
			t.Fatal(f.Header, err)
		}
		connect(t, address, openingRequest("/")).response(t, 429)
		c.Close()
	}
}

// TestProxiesAreChecked: a Server that trusts nobody, or a field that does not exist, is a mistake.
func TestProxiesAreChecked(t *testing.T) {
	bad := &websocket.Proxies{}
	for name, err := range map[string]error{
		"Server.Proxies": (&websocket.Server{Proxies: bad}).Check(),
		"Mux.Proxies":    (&websocket.Mux{Proxies: bad}).Check(),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProxyProtocolToNetHTTP: the client of a PROXY header is the RemoteAddr of requests to the
// Handler, which are served by net/http, and of WebSockets that come back from there.
func TestProxyProtocolToNetHTTP(t *testing.T) {
	s := &websocket.Server{
		Handler:       http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }),
		Message:       func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.SendText(c.RemoteAddr().String()) },
		MaxPerAddress: 1, Refused: func(websocket.Refusal) {},
	}
	eng, _ := start(t, s, engine.Config{Loops: 2})
	lc := engine.ListenConfig{MaxPerAddress: 2, Proxy: &engine.ProxyConfig{Trusted: local.Trusted}}
	ln, err := lc.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	header := func(client string) string { return "PROXY TCP4 " + client + " 203.0.113.5 4000 443\r\n" }
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		c := connect(t, ln.String(), header(from)+get)
		if _, text := c.response(t, 200); text != from+":4000" {
			t.Errorf("the Handler sees %s", text)
		}
		fmt.Fprint(c, openingRequest("/"))
		c.response(t, 101)
		if err := ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte("who am I")))); err != nil {
			t.Fatal(err)
		}
		c.expect(t, ws.OpText, from+":4000")
		connect(t, ln.String(), header(from)+openingRequest("/")).response(t, 429)
	}
}
