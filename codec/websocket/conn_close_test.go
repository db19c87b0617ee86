package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

func TestCloseHandshake(t *testing.T) {
	reasons := make(chan error, 1)
	server := &websocket.Server{Close: func(c *websocket.Conn, err error) {
		if _, err := c.Send(websocket.Text, nil); err == nil {
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
			if _, err := c.Send(websocket.Text, nil); !errors.Is(err, engine.ErrClosed) ||
				!errors.Is(c.Close(1000, ""), engine.ErrClosed) {
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
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != 4001 || e.Reason != "bye" ||
			e.SentFirst || e.SentCode != 4001 {
			t.Fatalf("%v: %+v", err, e)
		} else if websocket.CloseStatus(err) != 4001 {
			t.Fatal(websocket.CloseStatus(err))
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
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != websocket.NoStatus || e.SentFirst ||
			e.SentCode != websocket.NoStatus {
			t.Fatalf("%v: %+v", err, e)
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
		ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4002, "so be it"))))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		c.Close()
		var e *websocket.CloseError
		if err := receive(t, "reason", reasons); !errors.As(err, &e) || e.Code != 4002 || e.Reason != "so be it" ||
			!e.SentFirst || e.SentCode != 4000 || e.SentReason != reason {
			t.Fatalf("%v: %+v", err, e)
		}
	})
	t.Run("connection lost", func(t *testing.T) {
		dial(t, address).Close()
		if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrPeerClosed) ||
			websocket.CloseStatus(err) != websocket.AbnormalClosure {
			t.Fatal(err)
		}
	})
}

// TestNothingPassesAfterOurClose: neither what we would send, pongs included, nor what still
// arrives.
func TestNothingPassesAfterOurClose(t *testing.T) {
	messages, pings := 0, make(chan bool, 1)
	server := &websocket.Server{Ping: func(*websocket.Conn, []byte) { pings <- true }}
	server.Message = func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
		if messages++; messages > 1 {
			t.Error("a message behind our Close is delivered")
			return
		}
		c.Close(wsproto.NoStatus, "a reason needs a code")
		for _, err := range []error{c.Ping(nil), c.SendPrepared(websocket.Prepare(websocket.Text, nil),
			engine.SlowWait)} {
			if !errors.Is(err, engine.ErrClosed) {
				t.Errorf("behind our Close: %v", err)
			}
		}
	}
	_, address := start(t, server, engine.Config{Loops: 1})
	c := dial(t, address)
	wsutil.WriteClientText(c, []byte("close"))
	c.expect(t, ws.OpClose, "") // 1005: without a code
	wsutil.WriteClientText(c, []byte("late"))
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame([]byte("late"))))
	receive(t, "ping", pings)
	ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(nil)))
	if rest, err := io.ReadAll(c); len(rest) > 0 || err != nil {
		t.Errorf("behind our Close: %q, %v", rest, err)
	}
}

// TestNothingPassesBeforeOpen: a connection whose handshake is not done cannot send, and Close just
// ends it.
func TestNothingPassesBeforeOpen(t *testing.T) {
	_, address := start(t, &websocket.Server{
		Handshake: func(u *websocket.Handshake) {
			_, err := u.Conn.Send(websocket.Text, []byte("early"))
			for _, err := range []error{err, u.Conn.Ping(nil),
				u.Conn.SendPrepared(websocket.Prepare(websocket.Text, nil), engine.SlowWait)} {
				if !errors.Is(err, engine.ErrClosed) {
					t.Errorf("before the handshake is done: %v", err)
				}
			}
			u.Conn.Close(1000, "")
		},
		Open:  func(*websocket.Conn) { t.Error("it is open") },
		Close: func(*websocket.Conn, error) { t.Error("Close without Open") },
	}, engine.Config{Loops: 1})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, goodRequest)
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestClientNoticesThatTheServerIsGone, without a Close frame.
func TestClientNoticesThatTheServerIsGone(t *testing.T) {
	reasons := make(chan error, 1)
	client := &websocket.Client{Close: func(_ *websocket.Conn, err error) { reasons <- err }}
	address := scripted(t, func(nc net.Conn, _ *bufio.Reader, q *http.Request) { io.WriteString(nc, accept(q, "")) })
	if o := open(t, client, running(t, engine.Config{Loops: 1}), "ws://"+address); o.err != nil {
		t.Fatal(o.err)
	}
	if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrPeerClosed) {
		t.Fatal(err)
	}
}

// TestCloseTimeout: a peer that does not answer our Close frame does not hold the connection.
func TestCloseTimeout(t *testing.T) {
	reasons := make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Limits: websocket.Limits{CloseTimeout: 30 * time.Millisecond},
		Open:   func(c *websocket.Conn) { c.Close(4000, "bye") },
		Close:  func(_ *websocket.Conn, err error) { reasons <- err },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.closeCode(t)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	c.Close()
	err := receive(t, "reason", reasons)
	if !errors.Is(err, engine.ErrTimeout) || websocket.CloseStatus(err) != websocket.AbnormalClosure ||
		!strings.Contains(err.Error(), `4000 "bye"`) {
		t.Fatal(err)
	}
}

func TestBrokenRulesGetTheirCode(t *testing.T) {
	reasons := make(chan error, 1)
	_, address := start(t, &websocket.Server{Message: echo, Limits: websocket.Limits{MaxMessage: 1000},
		Close: func(_ *websocket.Conn, err error) { reasons <- err }}, engine.Config{Loops: 1})
	for _, c := range []struct {
		name  string
		bytes []byte
		code  ws.StatusCode
	}{
		{"not masked", wsproto.AppendFrame(nil, wsproto.Text, []byte("x")), 1002},
		{"not UTF-8", wsproto.AppendMasked(nil, wsproto.Text, 1, []byte("\xff")), 1007},
		{"too big", wsproto.AppendMasked(nil, wsproto.Text, 1, make([]byte, 1001)), 1009},
		{"2^62 bytes", wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true,
			Length: 1 << 62}), 1009},
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

// TestIdlePeerIsPinged, and stays as long as it answers. When it does not is tested on the
// simulated clock, in package engine.
func TestIdlePeerIsPinged(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo,
		Limits: websocket.Limits{IdleTimeout: 20 * time.Millisecond, PongTimeout: patience}}, engine.Config{Loops: 1})
	c := dial(t, address)
	for range 3 {
		f, err := readFrame(c.r)
		if err != nil || f.Header.OpCode != ws.OpPing {
			t.Fatal(f, err)
		}
		ws.WriteFrame(c, ws.MaskFrame(ws.NewPongFrame(f.Payload)))
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

// TestShutdownDoesNotWaitForTheDeaf: a peer that does not answer our Close frame has a second for
// it, whatever CloseTimeout is.
func TestShutdownDoesNotWaitForTheDeaf(t *testing.T) {
	for _, timeout := range []time.Duration{-1, time.Hour} {
		eng, address := start(t, &websocket.Server{Message: echo, Limits: websocket.Limits{CloseTimeout: timeout}},
			engine.Config{Loops: 1})
		c := dial(t, address)
		c.ask(t, ws.OpText, "hello")
		done := make(chan error, 1)
		go func() { done <- eng.Shutdown(context.Background()) }()
		if code, _ := c.closeCode(t); code != 1001 {
			t.Errorf("code %d", code)
		}
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("CloseTimeout %v: %v", timeout, err)
		}
		c.Close()
		if err := receive(t, "shutdown", done); err != nil {
			t.Error(err)
		}
	}
}

// TestClosingHandshakeIsNoBrokenRule: Stats counts it by the end that closed first.
func TestClosingHandshakeIsNoBrokenRule(t *testing.T) {
	eng, address := start(t, &websocket.Server{
		Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.Close(websocket.GoingAway, "") },
	}, engine.Config{Loops: 1})
	goodbye := ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	c := dial(t, address)
	ws.WriteFrame(c, goodbye)
	c.closeCode(t)
	c.Close()
	await(t, eng, func(s engine.Stats) bool { return s.Closed[engine.CausePeer] == 1 && s.Connections == 0 })
	c = dial(t, address)
	wsutil.WriteClientText(c, []byte("go"))
	c.closeCode(t)
	ws.WriteFrame(c, goodbye)
	c.Close()
	await(t, eng, func(s engine.Stats) bool { return s.Closed[engine.CauseClose] == 1 && s.Connections == 0 })
}

// TestCloseInCloseIsError: on a connection that has ended, Close returned nil, as if a Close frame
// were on its way.
func TestCloseInCloseIsError(t *testing.T) {
	errs := make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Close: func(c *websocket.Conn, err error) { errs <- c.Close(websocket.NormalClosure, "") },
	}, engine.Config{Loops: 1})
	dial(t, address).Close()
	if err := receive(t, "error", errs); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Close returns %v", err)
	}
}
