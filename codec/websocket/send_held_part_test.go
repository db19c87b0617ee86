package websocket_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestHeldMessagesGoOutInParts: what waited for the end of a message in pieces was sent by one
// call, which took the loop 20 to 40 ms where a client had asked for as many echoes as may wait.
// They keep their order, whatever is sent, begun or closed behind them.
func TestHeldMessagesGoOutInParts(t *testing.T) {
	const held = 20_000
	text := func(i int) string { return fmt.Sprint(i, strings.Repeat(" text", 40)) }
	for _, test := range []struct {
		name   string
		behind func(c *websocket.Conn)
		want   []string
	}{
		{"nothing", func(*websocket.Conn) {}, nil},
		{"a message", func(c *websocket.Conn) { c.Send(websocket.Text, []byte("behind")) }, []string{"behind"}},
		{"as many again", func(c *websocket.Conn) {
			for range held {
				c.SendPrepared(websocket.Prepare(websocket.Text, []byte("behind")), engine.SlowWait)
			}
		}, slices.Repeat([]string{"behind"}, held)},
		{"a piece", func(c *websocket.Conn) {
			c.SendPiece(websocket.Text, []byte("be"), false)
			c.SendPiece(websocket.Text, []byte("hind"), true)
		}, []string{"behind"}},
		{"a reader", func(c *websocket.Conn) {
			if err := c.SendFrom(websocket.Text, strings.NewReader("behind"), func(error) {}); err != nil {
				t.Error(err)
			}
		}, []string{"behind"}},
		{"Close", func(c *websocket.Conn) {
			if err := c.Close(4000, ""); err != nil {
				t.Error(err)
			}
			if _, err := c.SendText("too late"); !errors.Is(err, engine.ErrClosed) {
				t.Error(err)
			}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			waits := make(chan int, 1)
			url := wstest.Serve(t, &websocket.Server{Open: func(c *websocket.Conn) {
				c.EngineConn().SetWriteBuffer(64 << 10)
				c.SendPiece(websocket.Text, []byte("begin "), false)
				for i := range held {
					c.Send(websocket.Text, []byte(text(i)))
				}
				c.SendPiece(websocket.Text, []byte("end"), true)
				waits <- c.EngineConn().Outbound()
				test.behind(c)
			}})
			p := wstest.Dial(t, url, nil)
			if n := receive(t, "end", waits); n > 512<<10 {
				t.Errorf("%d bytes were written at once", n)
			}
			p.Expect(wsproto.Text, "begin end")
			for i := range held {
				p.Expect(wsproto.Text, text(i))
			}
			for _, want := range test.want {
				p.Expect(wsproto.Text, want)
			}
			if test.name == "Close" {
				p.ExpectClose(4000)
			}
		})
	}
}

// TestHeldMessagesGoOutBeforeTheAnswerToClose: a client that asks and then closes gets all that was
// sent before its Close frame was read. What still waited behind a message in pieces was dropped.
func TestHeldMessagesGoOutBeforeTheAnswerToClose(t *testing.T) {
	const held = 20_000
	closed := make(chan error, 1)
	url := wstest.Serve(t, &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, b []byte) {
			c.SendPiece(op, b, false)
			for range held {
				c.Send(op, b)
			}
			c.SendPiece(op, b, true)
		},
		Close: func(_ *websocket.Conn, err error) { closed <- err },
	})
	p := wstest.Dial(t, url, nil)
	p.SendFrames(
		wstest.Frame{Opcode: wsproto.Text, Payload: "request"},
		wstest.CloseFrame(wsproto.NormalClosure, ""),
	)
	p.Expect(wsproto.Text, "requestrequest")
	for range held {
		p.Expect(wsproto.Text, "request")
	}
	p.ExpectClose(wsproto.NormalClosure)
	err := receive(t, "end", closed)
	if unsent := (*engine.UnsentError)(nil); errors.As(err, &unsent) {
		t.Error(err)
	}
}
