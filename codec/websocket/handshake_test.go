package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestFramesThatComeWithTheHandshake are kept.
func TestFramesThatComeWithTheHandshake(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := []byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	b = wsproto.AppendMasked(b, wsproto.Text, 77, []byte("early"))
	b = wsproto.AppendMasked(b, wsproto.Text, 78, []byte("bird"))
	c.Write(b)
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	(&client{c, r}).expect(t, ws.OpText, "early")
	(&client{c, r}).expect(t, ws.OpText, "bird")
}

func TestUpgradeCallback(t *testing.T) {
	opened := make(chan string, 10)
	_, address := start(t, &websocket.Server{
		Subprotocols: []string{"v2", "v1"},
		Handshake: func(u *websocket.Handshake) {
			switch string(u.Raw.Path) {
			case "/refuse":
				u.ResponseHeader().Set("Retry-After", "7")
				u.Refuse(503, "later\n")
			case "/older":
				u.Subprotocol = "v1"
			case "/unknown":
				u.Subprotocol = "v9"
			case "/none":
				u.Subprotocol = ""
			case "/inject":
				u.ResponseHeader().Set("X", "a\r\nSet-Cookie: b")
			default:
				u.ResponseHeader().Set("X-Hello", string(u.Raw.Header("x-hello")))
			}
			u.Conn.Value = string(u.Raw.Query)
		},
		Open: func(c *websocket.Conn) { opened <- fmt.Sprint(c.Value, " ", c.Subprotocol()) },
	}, engine.Config{Loops: 1})
	for _, c := range []struct {
		target, offers string
		status         int
		header         string
		opened         string
	}{
		{target: "/?q=1", status: 101, header: "X-Hello: world", opened: "q=1 "},
		{target: "/", offers: "v1, v2", status: 101, header: "Sec-Websocket-Protocol: v2", opened: " v2"},
		{target: "/older", offers: "v1, v2", status: 101, header: "Sec-Websocket-Protocol: v1", opened: " v1"},
		{target: "/", offers: "v3", status: 101, opened: " "},
		{target: "/refuse", status: 503, header: "Retry-After: 7"},
		{target: "/unknown", status: 500},
		{target: "/unknown", offers: "v9", status: 101, header: "Sec-Websocket-Protocol: v9", opened: " v9"},
		{target: "/older", offers: "v2", status: 500},
		{target: "/older", status: 500},
		{target: "/none", offers: "v1, v2", status: 101, opened: " "},
		{target: "/inject", status: 500},
		{target: "/", offers: "v1, v1", status: 400},
	} {
		t.Run(c.target+" "+c.offers, func(t *testing.T) {
			req, _ := http.NewRequest("GET", "http://"+address+c.target, nil)
			for k, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "X-Hello": "world",
				"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
				"Sec-WebSocket-Protocol": c.offers} {
				if v != "" {
					req.Header.Set(k, v)
				}
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok && resp.Header.Get(name) != value {
				t.Errorf("header %v, want %s", resp.Header, c.header)
			}
			if resp.Header.Get("Set-Cookie") != "" {
				t.Error("a header was injected")
			}
			if c.status != 101 && !resp.Close {
				t.Error("a refusal must say Connection: close")
			}
			if c.opened != "" {
				if got := receive(t, "Open", opened); got != c.opened {
					t.Errorf("opened with %q, want %q", got, c.opened)
				}
			}
		})
	}
}

// TestRejectedUpgradeDropsWhatWasPipelined: the bytes behind a refused request are neither frames
// nor a second request.
func TestRejectedUpgradeDropsWhatWasPipelined(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: func(*websocket.Conn, websocket.Opcode, []byte) {
		t.Error("a message")
	},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request") })},
		engine.Config{Loops: 1})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"+
		"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil || bytes.Count(got, []byte("HTTP/1.1 ")) != 1 || !bytes.HasPrefix(got, []byte("HTTP/1.1 426 ")) {
		t.Fatalf("%q, %v", got, err)
	}
}

// TestCrossSiteIsRefusedByDefault (CVE-2026-22689).
func TestCrossSiteIsRefusedByDefault(t *testing.T) {
	_, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	for origin, want := range map[string]int{"http://" + address: 101, "https://evil.com": 403, "null": 403} {
		d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Origin": {origin}}}
		c, _, _, err := d.Dial(context.Background(), "ws://"+address)
		var status ws.StatusError
		if want == 101 && err != nil || want != 101 && (!errors.As(err, &status) || int(status) != want) {
			t.Errorf("origin %s: %v, want %d", origin, err, want)
		}
		if c != nil {
			c.Close()
		}
	}
}

// TestOriginsAddToTheOwnHost: a page of the server itself was refused once there were any Origins.
func TestOriginsAddToTheOwnHost(t *testing.T) {
	_, address := start(t, &websocket.Server{Origins: []string{"https://good.example"}}, engine.Config{Loops: 1})
	for origin, want := range map[string]int{
		"http://a": 101, "https://good.example": 101, "https://evil.example": 403} {
		connect(t, address, openingRequest("/", "Origin: "+origin)).response(t, want)
	}
}

// TestHandshakeTimeout: the deadline is for the whole header, and not put off by the bytes that
// come.
func TestHandshakeTimeout(t *testing.T) {
	for _, drip := range []bool{false, true} {
		_, address := start(t, &websocket.Server{Limits: websocket.Limits{HandshakeTimeout: 30 * time.Millisecond}},
			engine.Config{Loops: 1})
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		go func() {
			for range 10_000 { // all the time, and less than a header may have
				if _, err := io.WriteString(c, "G"); err != nil || !drip {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}()
		if b, err := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 408 ") || err != nil {
			t.Fatalf("drip %v: %.40q, %v", drip, b, err)
		}
	}
}
