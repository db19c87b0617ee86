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
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

const patience = 10 * time.Second

// start runs a server until the test ends, and returns its address.
func start(t testing.TB, s *websocket.Server, c engine.Config) (*engine.Engine, string) {
	t.Helper()
	eng, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return eng, ln.String()
}

func echo(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) }

// client is a connection by gobwas.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	c, r, _, err := ws.Dial(context.Background(), "ws://"+address+"/")
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		r = bufio.NewReader(c)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &client{c, r}
}

func (c *client) Read(b []byte) (int, error) { return c.r.Read(b) }

func (c *client) ask(t testing.TB, op ws.OpCode, text string) {
	t.Helper()
	if err := wsutil.WriteClientMessage(c, op, []byte(text)); err != nil {
		t.Fatal(err)
	}
	c.expect(t, op, text)
}

func (c *client) expect(t testing.TB, op ws.OpCode, text string) {
	t.Helper()
	f, err := readFrame(c.r)
	if err != nil || f.Header.OpCode != op || string(f.Payload) != text {
		t.Fatalf("got opcode %x of %d bytes %.40q, %v; want %x of %d bytes", f.Header.OpCode, len(f.Payload), f.Payload, err, op, len(text))
	}
}

// closeCode reads on to the Close frame.
func (c *client) closeCode(t testing.TB) (ws.StatusCode, string) {
	t.Helper()
	for {
		f, err := readFrame(c.r)
		if err != nil {
			t.Fatalf("no Close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			return ws.ParseCloseFrameData(f.Payload)
		}
	}
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

func TestConnIs96Bytes(t *testing.T) {
	if n := unsafe.Sizeof(websocket.Conn{}); n > 96 {
		t.Fatalf("%d bytes, beyond the size class that the memory promise is built on", n)
	}
	if n := unsafe.Sizeof(websocket.Handle{}); n != unsafe.Sizeof(uintptr(0)) {
		t.Fatalf("a Handle is %d bytes", n)
	}
}

func TestEchoOfEverySize(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo, MaxMessage: 4 << 20}, engine.Config{Loops: 2})
	c := dial(t, address)
	for _, n := range []int{0, 1, 125, 126, 127, 4096, 16383, 16384, 16385, 65535, 65536, 1 << 20, 3 << 20} {
		c.ask(t, ws.OpText, strings.Repeat("é", n/2)+strings.Repeat("x", n%2))
		c.ask(t, ws.OpBinary, strings.Repeat("\xff", n))
	}
}

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
		Upgrade: func(u *websocket.Upgrade) {
			switch string(u.Request.Path) {
			case "/refuse":
				u.Header = append(u.Header, wsproto.Field{Name: "Retry-After", Value: "7"})
				u.Refuse(503, "later\n")
			case "/older":
				u.Subprotocol = "v1"
			case "/unknown":
				u.Subprotocol = "v9"
			case "/inject":
				u.Header = append(u.Header, wsproto.Field{Name: "X", Value: "a\r\nSet-Cookie: b"})
			default:
				u.Header = append(u.Header, wsproto.Field{Name: "X-Hello", Value: string(u.Request.Header("x-hello"))})
			}
			u.Conn.Value = string(u.Request.Query)
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
		{target: "/inject", status: 500},
		{target: "/", offers: "v1, v1", status: 400},
	} {
		t.Run(c.target+" "+c.offers, func(t *testing.T) {
			req, _ := http.NewRequest("GET", "http://"+address+c.target, nil)
			for k, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "X-Hello": "world",
				"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": c.offers} {
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

// TestRejectedUpgradeDropsWhatWasPipelined: the bytes behind a refused request are neither frames nor a second request.
func TestRejectedUpgradeDropsWhatWasPipelined(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: func(*websocket.Conn, websocket.Opcode, []byte) { t.Error("a message") },
		HTTP: func(*wsproto.Request) websocket.Response { t.Error("a request"); return websocket.Response{} }}, engine.Config{Loops: 1})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil || bytes.Count(got, []byte("HTTP/1.1 ")) != 1 || !bytes.HasPrefix(got, []byte("HTTP/1.1 426 ")) {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestHTTPOnTheSamePort(t *testing.T) {
	page := bytes.Repeat([]byte("<p>"), 50_000)
	_, address := start(t, &websocket.Server{Message: echo, HTTP: websocket.Static("/", "text/html", page)}, engine.Config{Loops: 1})
	for _, c := range []struct {
		method, path string
		body         string
		status       int
		length       int
	}{
		{"GET", "/", "", 200, len(page)},
		{"GET", "/?x=y", "", 200, len(page)},
		{"HEAD", "/", "", 200, 0},
		{"GET", "/other", "", 404, 10},
		{"DELETE", "/", "", 405, 17},
		{"POST", "/", "data", 413, 41},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			req, _ := http.NewRequest(c.method, "http://"+address+c.path, strings.NewReader(c.body))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != c.status || len(b) != c.length {
				t.Fatalf("status %d, %d bytes, %v; want %d and %d", resp.StatusCode, len(b), err, c.status, c.length)
			}
		})
	}
	dial(t, address).ask(t, ws.OpText, "and a WebSocket")
}

func TestWithoutFallbackPlainRequestsGet426(t *testing.T) {
	_, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	resp, err := http.Get("http://" + address)
	if err != nil || resp.StatusCode != 426 || resp.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
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

func TestHandshakeTimeout(t *testing.T) {
	_, address := start(t, &websocket.Server{HandshakeTimeout: 30 * time.Millisecond}, engine.Config{Loops: 1})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() { // bytes do not extend an absolute deadline
		for range 1000 {
			if _, err := io.WriteString(c, "G"); err != nil {
				return
			}
		}
	}()
	if _, err := io.Copy(io.Discard, c); err != nil && errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestCloseHandshake(t *testing.T) {
	reasons := make(chan error, 1)
	server := &websocket.Server{Close: func(c *websocket.Conn, err error) {
		if c.Send(websocket.Text, nil) == nil {
			t.Error("Send works in Close")
		}
		reasons <- err
	}}
	server.Message = func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		switch string(data) {
		case "bad code":
			if c.Close(1006, "") == nil || c.Close(999, "") == nil {
				t.Error("a code that may not be sent is sent")
			}
		case "close":
			c.Close(4000, strings.Repeat("long reason é", 20))
			if !errors.Is(c.Send(websocket.Text, nil), engine.ErrClosed) || !errors.Is(c.Close(1000, ""), engine.ErrClosed) {
				t.Error("something may follow a Close frame")
			}
		}
	}
	_, address := start(t, server, engine.Config{Loops: 1})
	t.Run("by the peer", func(t *testing.T) {
		c := dial(t, address)
		ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye"))))
		if code, _ := c.closeCode(t); code != 4001 {
			t.Errorf("answered with code %d", code)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the server must close the connection: %v", err)
		}
		c.Close()
		var e *websocket.CloseError
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != 4001 || e.Reason != "bye" {
			t.Fatal(err)
		}
	})
	t.Run("by the peer, without a code", func(t *testing.T) {
		c := dial(t, address)
		ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(nil)))
		if f, err := readFrame(c.r); err != nil || f.Header.OpCode != ws.OpClose || len(f.Payload) != 0 {
			t.Fatal(f, err)
		}
		c.Close()
		var e *websocket.CloseError
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != wsproto.NoStatus {
			t.Fatal(err)
		}
	})
	t.Run("by us", func(t *testing.T) {
		c := dial(t, address)
		wsutil.WriteClientText(c, []byte("bad code"))
		wsutil.WriteClientText(c, []byte("close"))
		code, reason := c.closeCode(t)
		if code != 4000 || len(reason) > 123 || !strings.HasPrefix(reason, "long reason é") {
			t.Errorf("code %d, reason %q", code, reason)
		}
		ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, ""))))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		c.Close()
		var e *websocket.CloseError
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != 4000 {
			t.Fatal(err)
		}
	})
	t.Run("connection lost", func(t *testing.T) {
		dial(t, address).Close()
		if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrPeerClosed) {
			t.Fatal(err)
		}
	})
}

// TestCloseTimeout: a peer that does not answer our Close frame does not hold the connection.
func TestCloseTimeout(t *testing.T) {
	reasons := make(chan error, 1)
	_, address := start(t, &websocket.Server{
		CloseTimeout: 30 * time.Millisecond,
		Open:         func(c *websocket.Conn) { c.Close(1000, "") },
		Close:        func(_ *websocket.Conn, err error) { reasons <- err },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.closeCode(t)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	c.Close()
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrDeadline) {
		t.Fatal(err)
	}
}

func TestBrokenRulesGetTheirCode(t *testing.T) {
	reasons := make(chan error, 1)
	_, address := start(t, &websocket.Server{Message: echo, MaxMessage: 1000,
		Close: func(_ *websocket.Conn, err error) { reasons <- err }}, engine.Config{Loops: 1})
	for _, c := range []struct {
		name  string
		bytes []byte
		code  ws.StatusCode
	}{
		{"not masked", wsproto.AppendFrame(nil, wsproto.Text, []byte("x")), 1002},
		{"not UTF-8", wsproto.AppendMasked(nil, wsproto.Text, 1, []byte("\xff")), 1007},
		{"too big", wsproto.AppendMasked(nil, wsproto.Text, 1, make([]byte, 1001)), 1009},
		{"2^62 bytes", wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: 1 << 62}), 1009},
		{"reserved opcode", wsproto.AppendMasked(nil, 3, 1, nil), 1002},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := dial(t, address)
			conn.Write(c.bytes)
			if code, reason := conn.closeCode(t); code != c.code || reason == "" {
				t.Errorf("code %d %q, want %d and a reason", code, reason, c.code)
			}
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			conn.Close()
			var p *wsproto.ProtocolError
			if err := receive(t, "reason", reasons); !errors.As(err, &p) || ws.StatusCode(p.Code) != c.code {
				t.Error(err)
			}
		})
	}
}

func TestIdlePeerIsPingedThenClosed(t *testing.T) {
	reasons := make(chan error, 1)
	_, address := start(t, &websocket.Server{IdleTimeout: 50 * time.Millisecond,
		Close: func(_ *websocket.Conn, err error) { reasons <- err }}, engine.Config{Loops: 1})
	c := dial(t, address)
	for range 3 { // it stays as long as it answers
		f, err := readFrame(c.r)
		if err != nil || f.Header.OpCode != ws.OpPing {
			t.Fatal(f, err)
		}
		ws.WriteFrame(c, ws.MaskFrame(ws.NewPongFrame(f.Payload)))
	}
	if f, err := readFrame(c.r); err != nil || f.Header.OpCode != ws.OpPing {
		t.Fatal(f, err)
	}
	io.Copy(io.Discard, c)
	c.Close()
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrIdleTimeout) {
		t.Fatal(err)
	}
}

func TestPingAndPong(t *testing.T) {
	heard := make(chan string, 2)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			if c.Ping(make([]byte, 126)) == nil {
				t.Error("a ping of 126 bytes is sent")
			}
			c.Ping([]byte("marco"))
		},
		Ping: func(_ *websocket.Conn, b []byte) { heard <- "ping " + string(b) },
		Pong: func(_ *websocket.Conn, b []byte) { heard <- "pong " + string(b) },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.expect(t, ws.OpPing, "marco")
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPongFrame([]byte("polo"))))
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame([]byte("hello"))))
	c.expect(t, ws.OpPong, "hello")
	if a, b := receive(t, "pong", heard), receive(t, "ping", heard); a != "pong polo" || b != "ping hello" {
		t.Fatal(a, b)
	}
}

func TestHandleAndBroadcast(t *testing.T) {
	handles := make(chan websocket.Handle, 10)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) { handles <- c.Handle() }}, engine.Config{Loops: 3})
	var clients []*client
	var all []websocket.Handle
	for range 10 {
		clients = append(clients, dial(t, address))
		all = append(all, receive(t, "handle", handles))
	}
	websocket.Broadcast(websocket.Prepare(websocket.Text, []byte("to all")), slices.Values(append(all, websocket.Handle{})))
	large := websocket.Prepare(websocket.Binary, make([]byte, 100_000))
	websocket.Broadcast(large, slices.Values(all))
	for i, c := range clients {
		c.expect(t, ws.OpText, "to all")
		c.expect(t, ws.OpBinary, string(make([]byte, 100_000)))
		h := all[i]
		h.Send(websocket.Text, []byte("first"))
		h.Post(func(c *websocket.Conn) { c.Send(websocket.Text, []byte("second")) })
		h.Close(4004, "reason")
		h.Send(websocket.Text, []byte("never"))
		c.expect(t, ws.OpText, "first")
		c.expect(t, ws.OpText, "second")
		if code, reason := c.closeCode(t); code != 4004 || reason != "reason" {
			t.Fatal(code, reason)
		}
	}
	if err := (websocket.Handle{}).Send(websocket.Text, nil); !errors.Is(err, engine.ErrClosed) {
		t.Fatal(err)
	}
}

// TestShutdownSaysGoingAway: peers get 1001, what was accepted before is answered.
func TestShutdownSaysGoingAway(t *testing.T) {
	eng, address := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 2})
	var clients []*client
	for range 20 {
		c := dial(t, address)
		c.ask(t, ws.OpText, "hello")
		clients = append(clients, c)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Shutdown(context.Background()) }()
	for _, c := range clients {
		if code, _ := c.closeCode(t); code != 1001 {
			t.Errorf("code %d", code)
		}
		ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, ""))))
		c.Close()
	}
	if err := receive(t, "shutdown", done); err != nil {
		t.Fatal(err)
	}
}

func TestEchoDoesNotAllocate(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	for _, op := range []wsproto.Opcode{websocket.Text, websocket.Binary} {
		for _, size := range []int{32, 1000, 20_000} {
			c := dial(t, address)
			msg := wsproto.AppendMasked(nil, op, 0x12345678, bytes.Repeat([]byte("m"), size))
			got := make([]byte, len(wsproto.AppendFrame(nil, op, make([]byte, size))))
			if n := testing.AllocsPerRun(1000, func() {
				c.Conn.Write(msg)
				io.ReadFull(c.Conn, got)
			}); n != 0 {
				t.Errorf("%v of %d bytes: %v allocations per message", op, size, n)
			}
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	_, address := start(b, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	c := dial(b, address)
	c.SetDeadline(time.Time{})
	msg := wsproto.AppendMasked(nil, wsproto.Text, 0x12345678, bytes.Repeat([]byte("m"), 32))
	got := make([]byte, 34)
	b.ReportAllocs()
	for b.Loop() {
		c.Conn.Write(msg)
		io.ReadFull(c.Conn, got)
	}
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
