package websocket_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestPanicSendsACloseFrame: the peer saw code 1006, in whichever callback it was.
func TestPanicSendsACloseFrame(t *testing.T) {
	boom := func(in, place string) {
		if in == place {
			panic("boom")
		}
	}
	for _, place := range []string{"Open", "Message", "Ping", "AfterFunc", "Post"} {
		t.Run(place, func(t *testing.T) {
			closed := make(chan error, 1)
			_, address := start(t, &websocket.Server{
				Open: func(*websocket.Conn) { boom("Open", place) },
				Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
					c.AfterFunc(time.Millisecond, func() { boom("AfterFunc", place) })
					c.Handle().Post(func(*websocket.Conn) { boom("Post", place) })
					c.Send(op, data)
					boom("Message", place)
				},
				Ping:  func(*websocket.Conn, []byte) { boom("Ping", place) },
				Close: func(_ *websocket.Conn, err error) { closed <- err },
			}, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			c := dial(t, address)
			if place == "Ping" {
				ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame(nil)))
			} else {
				ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte("hello"))))
			}
			if code, _ := c.closeCode(t); code != 1011 {
				t.Errorf("code %d", code)
			}
			c.end(t)
			c.Close()
			var p *engine.PanicError
			if err := receive(t, "Close", closed); !errors.As(err, &p) || p.Value != "boom" {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// TestPanicInHandshakeIsAnswered: the client saw the end of the connection without a response.
func TestPanicInHandshakeIsAnswered(t *testing.T) {
	boom := func() { panic("boom") }
	for _, test := range []struct {
		name   string
		server *websocket.Server
	}{
		{name: "Handshake", server: &websocket.Server{Handshake: func(*websocket.Handshake) { boom() }}},
		{name: "Refused", server: &websocket.Server{Handshake: func(h *websocket.Handshake) { h.Refuse(403, "no\n") },
			Refused: func(websocket.Refusal) { boom() }}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, address := start(t, test.server, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			c := connect(t, address, openingRequest("/"))
			if resp, _ := c.response(t, 500); !resp.Close {
				t.Error("no Connection: close")
			}
			c.end(t)
		})
	}
}

// TestTimeoutSendsACloseFrame: a peer that does not answer the ping, but listens, saw code 1006. So
// it was for a timeout that the user has set.
func TestTimeoutSendsACloseFrame(t *testing.T) {
	const short = 30 * time.Millisecond
	for _, test := range []struct {
		name string
		want error
	}{
		{name: "idle", want: engine.ErrIdleTimeout},
		{name: "user's", want: engine.ErrTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			closed := make(chan error, 1)
			s := &websocket.Server{Close: func(_ *websocket.Conn, err error) { closed <- err }}
			if test.want == engine.ErrIdleTimeout {
				s.IdleTimeout = short
			} else {
				s.Open = func(c *websocket.Conn) { c.EngineConn().SetTimeout(short) }
			}
			_, address := start(t, s, engine.Config{Loops: 1})
			c := dial(t, address)
			if code, _ := c.closeCode(t); code != 1001 {
				t.Errorf("code %d", code)
			}
			c.end(t)
			c.Close()
			if err := receive(t, "Close", closed); !errors.Is(err, test.want) {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// TestClientTellsOfAPanicToo, as a server does.
func TestClientTellsOfAPanicToo(t *testing.T) {
	closed := make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open:  func(c *websocket.Conn) { c.SendText("hello") },
		Close: func(_ *websocket.Conn, err error) { closed <- err },
	}, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	client := &websocket.Client{Message: func(*websocket.Conn, websocket.Opcode, []byte) { panic("boom") }}
	client.Dial(context.Background(), eng, "ws://"+address+"/", func(*websocket.Conn, error) {})
	if code := websocket.CloseStatus(receive(t, "Close", closed)); code != 1011 {
		t.Errorf("code %d", code)
	}
}
