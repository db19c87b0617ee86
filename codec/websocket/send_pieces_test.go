package websocket_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestOtherMessagesWaitForTheLastPiece, those of other goroutines and prepared ones, too; pings do
// not.
func TestOtherMessagesWaitForTheLastPiece(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil,
		{ServerTakeover: true, ClientTakeover: true, Threshold: 1}} {
		eng, address := start(t, &websocket.Server{Compression: compression, Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Text, []byte("one, "), false)
			c.Send(websocket.Text, []byte("second"))
			c.SendPiece(websocket.Text, []byte("two, "), false)
			c.SendPlain(websocket.Binary, []byte("third"))
			c.SendPrepared(websocket.Prepare(websocket.Text, []byte("fourth")), engine.SlowWait)
			c.Ping([]byte("in between"))
			h := c.Handle()
			h.Send(websocket.Text, []byte("fifth"))
			h.Post(func(c *websocket.Conn) {
				if err := c.SendFrom(websocket.Text, strings.NewReader("x"),
					func(error) { t.Error("done is called") }); !errors.Is(err, websocket.ErrSending) {
					t.Errorf("SendFrom within a message: %v", err)
				}
				c.SendPiece(websocket.Text, nil, true)
				c.SendPiece(websocket.Binary, []byte("sixth"), true)
			})
		}}, engine.Config{Loops: 1})
		got := make(chan string, 10)
		client := &websocket.Client{
			Compression: compression,
			Message: func(_ *websocket.Conn, op websocket.Opcode, data []byte) {
				got <- op.String() + " " + string(data)
			},
			Ping: func(_ *websocket.Conn, data []byte) { got <- "ping " + string(data) },
		}
		if o := open(t, client, eng, "ws://"+address); o.err != nil {
			t.Fatal(o.err)
		}
		for _, want := range []string{"ping in between", "text one, two, ", "text second", "binary third",
			"text fourth", "text fifth", "binary sixth"} {
			if s := receive(t, want, got); s != want {
				t.Fatalf("%q, want %q", s, want)
			}
		}
	}
}

// TestPongIsDueBehindTheLastPiece: an empty ping that comes while the peer does not take what it is
// sent is answered, also if a message in pieces ends before that is possible.
func TestPongIsDueBehindTheLastPiece(t *testing.T) {
	ended := make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) { c.SendPiece(websocket.Binary, make([]byte, 16<<20), false) },
		Ping: func(c *websocket.Conn, _ []byte) {
			p, err := c.SendPiece(websocket.Binary, nil, true)
			if p != engine.Queued {
				t.Errorf("pressure %v", p)
			}
			ended <- err
		},
	}, engine.Config{Loops: 1, HighWater: 32 << 20, MaxOutbound: 64 << 20})
	c := dial(t, address)
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame(nil)))
	if err := receive(t, "last piece", ended); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := ws.ReadHeader(c)
		if err == nil {
			_, err = io.CopyN(io.Discard, c, h.Length)
		}
		if err != nil {
			t.Fatalf("no pong: %v", err)
		}
		if h.OpCode == ws.OpPong {
			return
		}
	}
}

// TestPiecesAndMessagesShareTheWindow: with context takeover each of them refers to what was sent
// before, by whichever way.
func TestPiecesAndMessagesShareTheWindow(t *testing.T) {
	compression := &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
	eng, address := start(t, &websocket.Server{Compression: compression,
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			for range 2 {
				c.Send(op, data)
				c.SendPiece(op, data[:len(data)/3], false)
				c.SendPiece(op, data[len(data)/3:], true)
				c.SendFrom(op, strings.NewReader(string(data)), func(error) {})
			}
		}}, engine.Config{Loops: 1})
	got := make(chan string, 10)
	client := &websocket.Client{Compression: compression,
		Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { got <- string(data) }}
	o := open(t, client, eng, "ws://"+address)
	if o.err != nil {
		t.Fatal(o.err)
	}
	for i := range 10 {
		text := fmt.Sprintf("tick %d price 678.90; %s tick %d", i, strings.Repeat("x", i*100), i)
		o.c.Handle().Send(websocket.Text, []byte(text))
		for range 4 { // pieces and a second SendFrom are refused while the first one sends
			if s := receive(t, "message", got); s != text {
				t.Fatalf("%q, want %q", s, text)
			}
		}
	}
}

// TestHeldMessagesAreBounded: what waits for the end of a message that never ends does not leak.
func TestHeldMessagesAreBounded(t *testing.T) {
	ended := make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Binary, []byte("x"), false)
			for range 15 {
				if _, err := c.Send(websocket.Binary, make([]byte, 1<<20)); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.Send(websocket.Binary, make([]byte, 1<<20)); !errors.Is(err, engine.ErrOutboundLimit) {
				t.Errorf("16 MiB and what they cost besides: %v", err)
			}
		},
		Close: func(_ *websocket.Conn, err error) { ended <- err },
	}, engine.Config{Loops: 1})
	if o := open(t, &websocket.Client{}, eng, "ws://"+address); o.err != nil {
		t.Fatal(o.err)
	}
	if err := receive(t, "end", ended); !errors.Is(err, engine.ErrOutboundLimit) {
		t.Fatal(err)
	}
}

// TestHeldEmptyMessagesAreCounted: they have no bytes, but each takes up memory.
func TestHeldEmptyMessagesAreCounted(t *testing.T) {
	ended := make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Binary, []byte("x"), false)
			for range 1 << 20 {
				if _, err := c.Send(websocket.Binary, nil); err != nil {
					return
				}
			}
			t.Error("a million empty messages are held")
		},
		Close: func(_ *websocket.Conn, err error) { ended <- err },
	}, engine.Config{Loops: 1})
	if o := open(t, &websocket.Client{}, eng, "ws://"+address); o.err != nil {
		t.Fatal(o.err)
	}
	if err := receive(t, "end", ended); !errors.Is(err, engine.ErrOutboundLimit) {
		t.Fatal(err)
	}
}

// TestCloseTellsOfHeldMessages: they were accepted, dropped, and the reason was a clean end.
func TestCloseTellsOfHeldMessages(t *testing.T) {
	for _, test := range []struct {
		name  string
		begin func(*websocket.Conn) error
	}{
		{name: "SendPiece", begin: func(c *websocket.Conn) error {
			_, err := c.SendPiece(websocket.Text, []byte("begin"), false)
			return err
		}},
		{name: "SendFrom", begin: func(c *websocket.Conn) error {
			r, _ := io.Pipe() // gives nothing
			return c.SendFrom(websocket.Text, r, func(error) {})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			reasons := make(chan error, 1)
			_, address := start(t, &websocket.Server{
				Open: func(c *websocket.Conn) {
					for _, err := range []error{test.begin(c), ignore(c.SendText("important")), c.Close(1000, "")} {
						if err != nil {
							t.Error(err)
						}
					}
				},
				Close: func(_ *websocket.Conn, err error) { reasons <- err },
			}, engine.Config{Loops: 1})
			c := dial(t, address)
			c.closeCode(t)
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
			var unsent *engine.UnsentError
			err := receive(t, "reason", reasons)
			if !errors.As(err, &unsent) || unsent.Bytes != len("important") || websocket.CloseStatus(err) != 1000 {
				t.Errorf("reason %v", err)
			}
		})
	}
}

func ignore(_ engine.Pressure, err error) error { return err }
