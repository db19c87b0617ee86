package wstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// recorder is a testing.TB for tests that ought to fail.
type recorder struct {
	testing.TB
	failure string
}

func (r *recorder) Helper() {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// failing is what a test that does f fails with.
func failing(t *testing.T, f func(t testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failure
}

// TestFailures: what is not expected ends the test, and the message says what came in its place.
func TestFailures(t *testing.T) {
	say := func(text string) func(*wsconn.Conn) {
		return func(c *wsconn.Conn) { c.Write(context.Background(), wsconn.Text, []byte(text)) }
	}
	quiet := func(*wsconn.Conn) {}
	goodbye := func(c *wsconn.Conn) { go c.Close(4000, "bye") }
	raw := func(b string) func(*wsconn.Conn) {
		return func(c *wsconn.Conn) { c.Underlying().Write([]byte(b)) }
	}
	for _, test := range []struct {
		name   string
		tested func(*wsconn.Conn)
		script func(*wstest.Peer)
		want   string
	}{
		{"another text", say("a"), func(p *wstest.Peer) { p.Expect(wsproto.Text, "b") }, `want text "b", got text "a"`},
		{"another kind", say("a"), func(p *wstest.Peer) { p.Expect(wsproto.Binary, "a") },
			`want binary "a", got text "a"`},
		{"a long text", say(strings.Repeat("x", 500) + "y"),
			func(p *wstest.Peer) { p.Expect(wsproto.Text, strings.Repeat("x", 500)+"z") },
			`from byte 500 on want "z", got "y"`},
		{"silence", quiet, func(p *wstest.Peer) { p.Expect(wsproto.Text, "a") },
			`want text "a", got nothing within 10s`},
		{"half a frame", raw("\x81\x05ab"), func(p *wstest.Peer) { p.Frame() },
			`got nothing within 10s but 4 bytes: "\x81\x05ab"`},
		{"the end", func(c *wsconn.Conn) { c.Underlying().Close() }, func(p *wstest.Peer) { p.Message() },
			`want a message, got the end of the connection: EOF`},
		{"a Close frame", goodbye, func(p *wstest.Peer) { p.Message() }, `want a message, got close 4000 "bye"`},
		{"another code", goodbye, func(p *wstest.Peer) { p.ExpectClose(1002) },
			`want close 1002, got close 4000 "bye"`},
		{"no Close frame", say("a"), func(p *wstest.Peer) { p.ExpectClose(1002) }, `want close 1002, got text "a"`},
		{"no end", say("a"), func(p *wstest.Peer) { p.ExpectEnd() }, `want the end of the connection, got text "a"`},
		{"another frame", say("a"),
			func(p *wstest.Peer) { p.ExpectFrame(wstest.Frame{Opcode: wsproto.Text, Payload: "a", More: true}) },
			`want text "a", to be continued, got text "a"`},
		{"a broken rule", raw("\x81\x81abcd "), func(p *wstest.Peer) { p.Frame() },
			`frame of a server is masked (RFC 6455 section 5.1)`},
		{"a length in a long form", raw("\x81\x7e\x00\x01a"), func(p *wstest.Peer) { p.Frame() },
			`not in its shortest form`},
		{"bits", raw("\xf1\x01a"), func(p *wstest.Peer) { p.Frame() }, `got text "a", RSV 111, which breaks a rule`},
		{"deaf", quiet, func(p *wstest.Peer) { p.Send(wsproto.Binary, string(make([]byte, 1<<20))) },
			`bytes cannot be sent: i/o timeout`},
		{"no answer to Close", quiet, func(p *wstest.Peer) { p.Close(1000, "") },
			`want the answer to close 1000, got nothing`},
		{"another answer to Close", goodbye, func(p *wstest.Peer) { p.Close(1000, "") },
			`close 1000 was answered with close 4000 "bye"`},
		{"no response", raw("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry"),
			func(p *wstest.Peer) { p.ExpectResponse(200) },
			`want a response with status 200, got 404: "sorry"`},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, p := (*wsconn.Conn)(nil), (*wstest.Peer)(nil)
			got := failing(t, func(t testing.TB) {
				c, p = wstest.Server(t, nil)
				test.tested(c)
				test.script(p)
			})
			if !strings.Contains(got, test.want) {
				t.Errorf("%s: fails with %q, want %q", test.name, got, test.want)
			}
			p.CloseNow()
		})
	}
}

// TestHandshakeFailures are those of both ends.
func TestHandshakeFailures(t *testing.T) {
	answer := func(s string) string {
		return failing(t, func(t testing.TB) {
			a, b := wstest.NetPipe()
			b.Write([]byte(s))
			wstest.Connect(t, a, "ws://a/", nil)
		})
	}
	request := func(s string) string {
		return failing(t, func(t testing.TB) {
			a, b := wstest.NetPipe()
			b.Write([]byte(s))
			wstest.Accept(t, a, nil)
		})
	}
	for _, test := range []struct{ name, got, want string }{
		{"refused", answer("HTTP/1.1 403 Forbidden\r\n\r\n"), "status 403 instead of 101"},
		{"no HTTP", answer("SSH-2.0\r\n\r\n"), "malformed status line"},
		{"wrong answer", answer("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Accept: x\r\n\r\n"), "not the answer to our key"},
		{"no request", request("SSH-2.0\r\n\r\n"), "want an opening handshake"},
		{"no upgrade", request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "no websocket in the Upgrade field"},
		{"two hosts", request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), "not exactly one Host"},
		{"no URL", failing(t, func(t testing.TB) { wstest.Dial(t, "ftp://a/", nil) }), "not of the form"},
		{"no port", failing(t, func(t testing.TB) { wstest.Dial(t, "wss://a/", nil) }),
			"give the TLS connection to Connect"},
		{"no client", failing(t, func(t testing.TB) {
			c := &wsconn.Config{Subprotocols: []string{"a", "a"}}
			wstest.Pipe(t, c)
		}), "offered twice"},
	} {
		if !strings.Contains(test.got, test.want) {
			t.Errorf("%s: fails with %q, want %q", test.name, test.got, test.want)
		}
	}
}

// TestFrameAppend: what is left zero is by the rules, and every field can be set.
func TestFrameAppend(t *testing.T) {
	for _, test := range []struct {
		frame wstest.Frame
		role  wsproto.Role
		want  string
	}{
		{wstest.Frame{Opcode: wsproto.Text, Payload: "ab"}, wsproto.Server, "\x81\x02ab"},
		{wstest.Frame{Opcode: wsproto.Binary, More: true, RSV: 7}, wsproto.Server, "\x72\x00"},
		{wstest.Frame{Opcode: 15, Payload: "ab", WrongMask: true, Key: 0x01020304}, wsproto.Server,
			"\x8f\x82\x04\x03\x02\x01ea"},
		{wstest.Frame{Opcode: wsproto.Text, Payload: "ab", WrongMask: true}, wsproto.Client, "\x81\x02ab"},
		{wstest.Frame{Opcode: wsproto.Text, Payload: "ab", LengthBytes: 2}, wsproto.Server, "\x81\x7e\x00\x02ab"},
		{wstest.Frame{Opcode: wsproto.Text, Payload: "ab", LengthBytes: 8}, wsproto.Server,
			"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02ab"},
		{wstest.Frame{Opcode: wsproto.Text, Length: 1 << 63}, wsproto.Server,
			"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00"},
		{wstest.Frame{Opcode: wsproto.Ping, Length: 126, LengthBytes: 2, Key: 1}, wsproto.Client,
			"\x89\xfe\x00\x7e\x01\x00\x00\x00"},
		{wstest.CloseFrame(1000, "ok"), wsproto.Server, "\x88\x04\x03\xe8ok"},
		{wstest.CloseFrame(1005, "ok"), wsproto.Server, "\x88\x00"},
	} {
		if got := string(test.frame.Append(nil, test.role)); got != test.want {
			t.Errorf("%v: %q, want %q", test.frame, got, test.want)
		}
	}
	a := wstest.Frame{Opcode: wsproto.Text}.Append(nil, wsproto.Client)
	if b := (wstest.Frame{Opcode: wsproto.Text}).Append(nil, wsproto.Client); string(a) == string(b) {
		t.Error("two frames with the same key")
	}
}

// TestPeersOfTheReactor: a scripted client of a websocket.Server, and a scripted server of a
// websocket.Client, with all that can be agreed on.
func TestPeersOfTheReactor(t *testing.T) {
	compression := &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
	url := wstest.Serve(t, &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		c.Send(op, data)
	},
		Subprotocols: []string{"chat"}, Compression: compression})
	p := wstest.Dial(t, strings.Replace(url, "ws:", "http:", 1)+"/?q", &wstest.Offer{Subprotocols: []string{"chat"},
		Deflate: &wsproto.Deflate{}, Header: http.Header{"Cookie": {"a=b"}}})
	if p.Subprotocol != "chat" || p.Deflate == nil || p.Response.Header.Get("Upgrade") != "websocket" {
		t.Errorf("%q, %+v, %v", p.Subprotocol, p.Deflate, p.Response.Header)
	}
	for range 3 { // the later ones refer to the first
		p.SendFrames(p.Compressed(wsproto.Text, "to and fro"))
		p.Expect(wsproto.Text, "to and fro")
	}
	p.Close(1000, "")

	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	defer func() {
		e.Close()
		<-done
	}()
	ended := make(chan error, 1)
	client := websocket.Client{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Subprotocols: []string{"chat"}, Compression: compression,
		Close: func(_ *websocket.Conn, err error) { ended <- err }}
	l := wstest.Listen(t)
	client.Dial(t.Context(), e, l.URL+"/path", func(*websocket.Conn, error) {})
	p = l.Accept(&wstest.Answer{Subprotocol: "chat", Deflate: &wsproto.Deflate{}, Header: http.Header{"X": {"y"}}})
	if p.Request.URL.Path != "/path" || p.Deflate == nil {
		t.Errorf("%v, %+v", p.Request.URL, p.Deflate)
	}
	p.Split = func(int) int { return 1 }
	p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Payload: "to ", More: true},
		wstest.Frame{Opcode: wsproto.Ping, Payload: "?"}, wstest.Frame{Payload: "and fro"})
	p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "?"})
	p.Expect(wsproto.Text, "to and fro")
	p.SendFrames(wstest.Frame{Opcode: wsproto.Text, WrongMask: true})
	p.ExpectClose(1002)
	p.CloseNow()
	var broken *wsproto.ProtocolError
	if err := <-ended; !errors.As(err, &broken) {
		t.Error(err)
	}

	// A handshake by script.
	opened := make(chan error, 1)
	client.Dial(t.Context(), e, l.URL, func(_ *websocket.Conn, err error) { opened <- err })
	p = l.AcceptRaw()
	p.SendRaw([]byte("HTTP/1.1 503 Busy\r\n\r\n"))
	p.CloseNow()
	var refused *handshake.Error
	if err := <-opened; !errors.As(err, &refused) || refused.Status != 503 {
		t.Error(err)
	}
	p = wstest.DialRaw(t, strings.TrimPrefix(url, "ws://"))
	p.SendRaw([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if _, body := p.ExpectResponse(426); body == "" {
		t.Error("no body")
	}
	p.ExpectEnd()
}

// TestScript: what a script sends is cut as Split says, pings are answered where a message is
// waited for, and what a Config wants is agreed on.
func TestScript(t *testing.T) {
	for name, ends := range map[string]func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer){
		"client": wstest.Client,
		"server": wstest.Server,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, p := ends(t, &wsconn.Config{Subprotocols: []string{"chat"}})
			if c.Subprotocol() != "chat" || p.Subprotocol != "chat" {
				t.Errorf("%s: subprotocols %q and %q", name, c.Subprotocol(), p.Subprotocol)
			}
			p.Split = func(left int) int { return (left + 1) / 2 }
			p.SendRaw([]byte("0123456789"))
			var sizes []int
			for got := 0; got < 10; got += sizes[len(sizes)-1] {
				n, _ := c.Underlying().Read(make([]byte, 20))
				sizes = append(sizes, n)
			}
			if fmt.Sprint(sizes) != "[5 3 1 1]" {
				t.Errorf("%s: cut into %v", name, sizes)
			}
			go c.Read(t.Context())
			ponged := make(chan error, 1)
			go func() {
				ponged <- c.Ping(t.Context())
				c.Write(t.Context(), wsconn.Text, []byte("then"))
			}()
			p.Expect(wsproto.Text, "then")
			if err := <-ponged; err != nil {
				t.Errorf("%s: Ping: %v", name, err)
			}
			p.Close(1000, "")
		})
	}
}

// TestPipe in memory, with time that does not pass.
func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, &wsconn.Config{Subprotocols: []string{"chat"},
			Compression: &wsconn.Compression{}})
		if client.Subprotocol() != "chat" {
			t.Errorf("subprotocol %q", client.Subprotocol())
		}
		client.CloseRead(t.Context()) // it answers pings
		time.AfterFunc(time.Hour, func() { client.Write(t.Context(), wsconn.Text, []byte("hello")) })
		if _, data, err := server.Read(t.Context()); err != nil || string(data) != "hello" {
			t.Errorf("%q, %v", data, err)
		}
	})
}
