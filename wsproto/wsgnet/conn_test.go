package wsgnet_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
	"github.com/myriadnet/myriad/wsproto/wsgnet"
)

// closings makes a Server tell what Close gets.
func closings(s *wsgnet.Server) chan error {
	ch := make(chan error, 1)
	s.Close = func(_ *wsgnet.Conn, err error) { ch <- err }
	return ch
}

func TestOpeningHandshakes(t *testing.T) {
	address := serve(t, &wsgnet.Server{
		Subprotocols: []string{"chat", "superchat"},
		Origins:      []string{"https://example.com"},
		Limits:       wsproto.Limits{MaxHeader: 2 << 10, HandshakeTimeout: patience},
		Handshake: func(c *wsgnet.Conn, r *handshake.Request) error {
			switch string(r.Path) {
			case "/secret":
				return &handshake.Error{Status: 401, Text: "who are you?"}
			case "/broken":
				return errors.New("no database")
			}
			c.Value = string(r.Path)
			return nil
		},
		Open: func(c *wsgnet.Conn) {
			c.Send(wsproto.Text, fmt.Appendf(nil, "%v by %q", c.Value, c.Subprotocol()))
		},
	})
	const fields = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	tests := []struct {
		name, request string
		status        int
		want          string // the first message
	}{
		{name: "good", request: "GET /room HTTP/1.1\r\n" + fields, status: 101, want: `/room by ""`},
		{name: "subprotocol", request: "GET / HTTP/1.1\r\n" + fields + "Sec-WebSocket-Protocol: superchat, chat\r\n",
			status: 101, want: `/ by "chat"`},
		{name: "origin that is listed", request: "GET / HTTP/1.1\r\n" + fields + "Origin: https://example.com\r\n",
			status: 101, want: `/ by ""`},
		{name: "foreign origin", request: "GET / HTTP/1.1\r\n" + fields + "Origin: https://evil.example\r\n",
			status: 403},
		{name: "refused by the callback", request: "GET /secret HTTP/1.1\r\n" + fields, status: 401},
		{name: "callback that fails", request: "GET /broken HTTP/1.1\r\n" + fields, status: 500},
		{name: "not an upgrade", request: "GET / HTTP/1.1\r\nHost: a\r\n", status: 426},
		{name: "POST", request: "POST / HTTP/1.1\r\n" + fields, status: 405},
		{name: "HTTP/1.0", request: "GET / HTTP/1.0\r\n" + fields, status: 505},
		{name: "two hosts", request: "GET / HTTP/1.1\r\nHost: b\r\n" + fields, status: 400},
		{name: "bare LF", request: "GET / HTTP/1.1\n" + fields, status: 400},
		{name: "too large", request: "GET / HTTP/1.1\r\n" + fields + "X: " + strings.Repeat("x", 2<<10) + "\r\n",
			status: 431},
		{name: "version 12", request: "GET / HTTP/1.1\r\n" + strings.Replace(fields, "13", "12", 1), status: 426},
	}
	for _, tt := range tests {
		for _, step := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s by %d", tt.name, step), func(t *testing.T) {
				p := wstest.DialRaw(t, address)
				p.Split = func(int) int { return step }
				p.SendRaw([]byte(tt.request + "\r\n"))
				if tt.status != http.StatusSwitchingProtocols {
					p.ExpectResponse(tt.status)
					p.ExpectEnd()
					return
				}
				p.ExpectResponse(tt.status)
				p.Expect(wsproto.Text, tt.want)
			})
		}
	}
}

func TestClosingHandshakes(t *testing.T) {
	s := &wsgnet.Server{Message: func(c *wsgnet.Conn, op wsproto.Opcode, data []byte) {
		c.Send(op, []byte("last"))
		if err := c.Close(wsproto.GoingAway, string(data)); err != nil {
			t.Error(err)
		}
		if err := c.Send(op, data); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
		if err := c.Close(wsproto.AbnormalClosure, ""); err == nil {
			t.Error("Close with a code that may not be sent")
		}
	}}
	closed := closings(s)
	address := serve(t, s)

	p := wstest.Dial(t, "ws://"+address, nil)
	p.Close(4000, "my own")
	var ce *wsproto.CloseError
	if err := receive(t, closed); !errors.As(err, &ce) || ce.Code != 4000 || ce.Reason != "my own" || ce.SentFirst {
		t.Errorf("closed by %v", err)
	}

	p = wstest.Dial(t, "ws://"+address, nil)
	p.Send(wsproto.Text, "bye")
	p.Expect(wsproto.Text, "last")
	if reason := p.ExpectClose(wsproto.GoingAway); reason != "bye" {
		t.Errorf("the reason is %q", reason)
	}
	p.SendFrames(wstest.CloseFrame(wsproto.GoingAway, ""))
	p.ExpectEnd()
	p.CloseNow()
	if err := receive(t, closed); !errors.As(err, &ce) || !ce.SentFirst || ce.SentReason != "bye" {
		t.Errorf("closed by %v", err)
	}

	p = wstest.Dial(t, "ws://"+address, nil)
	p.CloseNow()
	if err := receive(t, closed); !errors.Is(err, io.EOF) {
		t.Errorf("closed by %v", err)
	}
}

// TestEngineThatEnds tells its peers.
func TestEngineThatEnds(t *testing.T) {
	s := &wsgnet.Server{Message: echo}
	closed := closings(s)
	address, e := serveOn(t, s)
	p := wstest.Dial(t, "ws://"+address, nil)
	p.Send(wsproto.Text, "hello")
	p.Expect(wsproto.Text, "hello")
	go e.Stop(t.Context())
	p.ExpectClose(wsproto.GoingAway)
	p.ExpectEnd()
	if err := receive(t, closed); err != nil {
		t.Errorf("closed by %v", err)
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name string
		send func(p *wstest.Peer)
		code wsproto.CloseCode
	}{
		{name: "large message", code: wsproto.MessageTooBig, send: func(p *wstest.Peer) {
			p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Length: 2000, Payload: "x"})
		}},
		{name: "fragments", code: wsproto.PolicyViolation, send: func(p *wstest.Peer) {
			for i := range 5 {
				p.SendFrames(wstest.Frame{Opcode: wsproto.Opcode(max(0, 1-i)), Payload: "x", More: true})
			}
		}},
		{name: "control frames", code: wsproto.PolicyViolation, send: func(p *wstest.Peer) {
			for range 30 {
				p.SendFrames(wstest.Frame{Opcode: wsproto.Pong})
			}
		}},
		{name: "text that is not UTF-8", code: wsproto.InvalidPayload,
			send: func(p *wstest.Peer) { p.Send(wsproto.Text, "\xFF") }},
		{name: "no progress", code: wsproto.PolicyViolation,
			send: func(p *wstest.Peer) { p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Payload: "x", More: true}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &wsgnet.Server{Limits: wsproto.Limits{MaxMessage: 1000, MaxFragments: 4, ControlRate: 2,
				ProgressTimeout: 20 * time.Millisecond, IdleTimeout: patience}}
			closed := closings(s)
			p := wstest.Dial(t, "ws://"+serve(t, s), nil)
			tt.send(p)
			p.ExpectClose(tt.code)
			p.ExpectEnd()
			p.CloseNow()
			var pe *wsproto.ProtocolError
			if err := receive(t, closed); !errors.As(err, &pe) || pe.Code != tt.code {
				t.Errorf("closed by %v", err)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Run("handshake", func(t *testing.T) {
		p := wstest.DialRaw(t, serve(t, &wsgnet.Server{Limits: wsproto.Limits{HandshakeTimeout: 1}}))
		p.ExpectResponse(http.StatusRequestTimeout)
		p.ExpectEnd()
	})
	t.Run("silence", func(t *testing.T) {
		s := &wsgnet.Server{Limits: wsproto.Limits{IdleTimeout: 10 * time.Millisecond, PongTimeout: time.Millisecond}}
		closed := closings(s)
		p := wstest.Dial(t, "ws://"+serve(t, s), nil)
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Ping})
		p.Send(wsproto.Pong, "")
		for f := p.Frame(); f.Opcode != wsproto.Ping; f = p.Frame() {
			t.Fatalf("got %v", f)
		}
		if err := receive(t, closed); !errors.Is(err, wsgnet.ErrPongTimeout) {
			t.Errorf("closed by %v", err)
		}
	})
	t.Run("closing handshake", func(t *testing.T) {
		s := &wsgnet.Server{Limits: wsproto.Limits{CloseTimeout: time.Millisecond},
			Open: func(c *wsgnet.Conn) { c.Close(wsproto.GoingAway, "") }}
		closed := closings(s)
		p := wstest.Dial(t, "ws://"+serve(t, s), nil)
		p.ExpectClose(wsproto.GoingAway)
		if err := receive(t, closed); !errors.Is(err, wsgnet.ErrCloseTimeout) {
			t.Errorf("closed by %v", err)
		}
	})
	t.Run("peer that does not end a broken connection", func(t *testing.T) {
		s := &wsgnet.Server{Limits: wsproto.Limits{CloseTimeout: time.Millisecond}}
		closed := closings(s)
		p := wstest.Dial(t, "ws://"+serve(t, s), nil)
		p.SendFrames(wstest.Frame{Opcode: 3})
		p.ExpectClose(wsproto.ProtocolFault)
		receive(t, closed)
	})
}

func TestPeerThatReadsNothing(t *testing.T) {
	s := &wsgnet.Server{MaxOutbound: 1 << 20, Message: func(c *wsgnet.Conn, op wsproto.Opcode, data []byte) {
		var send func(c *wsgnet.Conn)
		send = func(c *wsgnet.Conn) {
			if c.Send(wsproto.Binary, make([]byte, 100_000)) == nil {
				c.Post(send)
			}
		}
		send(c)
	}}
	closed := closings(s)
	p := wstest.Dial(t, "ws://"+serve(t, s), nil)
	p.Send(wsproto.Text, "flood me")
	if err := receive(t, closed); !errors.Is(err, wsgnet.ErrOutboundLimit) {
		t.Errorf("closed by %v", err)
	}
}

func TestSendingFromOtherGoroutines(t *testing.T) {
	opened := make(chan *wsgnet.Conn, 1)
	pongs := make(chan string, 1)
	s := &wsgnet.Server{
		Open: func(c *wsgnet.Conn) { opened <- c },
		Pong: func(_ *wsgnet.Conn, data []byte) { pongs <- string(data) },
	}
	p := wstest.Dial(t, "ws://"+serve(t, s), nil)
	c := receive(t, opened)
	c.SendAsync(wsproto.Text, []byte("one"))
	p.Expect(wsproto.Text, "one")
	prepared := wsproto.Prepare(wsproto.Binary, []byte("two"))
	c.Post(func(c *wsgnet.Conn) { c.SendPrepared(prepared) })
	p.Expect(wsproto.Binary, "two")
	c.Post(func(c *wsgnet.Conn) { c.Ping([]byte("three")) })
	p.ExpectFrame(wstest.Frame{Opcode: wsproto.Ping, Payload: "three"})
	p.Send(wsproto.Pong, "three")
	if s := receive(t, pongs); s != "three" {
		t.Errorf("pong %q", s)
	}
	if a := c.RemoteAddr().String(); a != p.Underlying().LocalAddr().String() {
		t.Errorf("the peer is %s", a)
	}
	p.Send(wsproto.Ping, "four")
	p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "four"})
}
