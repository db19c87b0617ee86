package autobahn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/internal/autobahn"
)

const patience = 20 * time.Second

// TestServer runs the case list against an echo server on a real socket, and reads its answers with
// another library.
func TestServer(t *testing.T) {
	server := &websocket.Server{
		Limits:  websocket.Limits{MaxMessage: 64 << 20},
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	eng, err := engine.New(engine.Config{Loops: 1, MaxOutbound: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	runCases(t, func(f autobahn.Frame) []byte { return f.Append(nil, 0x8040_20F1) },
		func(pieces [][]byte, want []autobahn.Event) error {
			c, early, _, err := ws.Dial(context.Background(), "ws://"+ln.String())
			if err != nil || early != nil {
				return fmt.Errorf("dial: %v, early data: %v", err, early != nil)
			}
			return converse(c, ws.StateClientSide, pieces, want)
		})
}

// TestClient runs the case list against clients that echo, with another library as the server.
func TestClient(t *testing.T) {
	client := &websocket.Client{
		Limits:  websocket.Limits{MaxMessage: 64 << 20},
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	eng, err := engine.New(engine.Config{Loops: 1, MaxOutbound: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	runCases(t, func(f autobahn.Frame) []byte { return f.AppendUnmasked(nil) },
		func(pieces [][]byte, want []autobahn.Event) error {
			opened := make(chan error, 1)
			if err := client.Dial(context.Background(), eng, "ws://"+ln.Addr().String(),
				func(_ *websocket.Conn, err error) { opened <- err }); err != nil {
				return err
			}
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			if _, err := ws.Upgrade(c); err != nil {
				return err
			}
			if err := <-opened; err != nil {
				return err
			}
			return converse(c, ws.StateServerSide, pieces, want)
		})
}

// runCases runs each case frame by frame, all at once, and in pieces.
func runCases(t *testing.T, frame func(autobahn.Frame) []byte, run func(pieces [][]byte, want []autobahn.Event) error) {
	for c := range autobahn.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			var frames [][]byte
			for _, f := range c.Frames {
				frames = append(frames, frame(f))
			}
			input := bytes.Join(frames, nil)
			piece := max(c.Chop, 1)
			if len(input) > 4<<10 {
				piece = max(c.Chop, 1300)
			}
			for how, pieces := range map[string][][]byte{
				"frame by frame": frames,
				"coalesced":      {input},
				"in pieces":      cut(input, piece),
			} {
				if err := run(pieces, c.Want); err != nil {
					t.Errorf("%s: %v", how, err)
				}
			}
		})
	}
}

func cut(b []byte, n int) (pieces [][]byte) {
	for ; len(b) > n; b = b[n:] {
		pieces = append(pieces, b[:n])
	}
	return append(pieces, b)
}

// converse sends the pieces and wants the echoes of want, and then the end of the stream: from a
// server at once, from a client when we have closed our half, which is the server's part. side says
// which of them we are.
func converse(c net.Conn, side ws.State, pieces [][]byte, want []autobahn.Event) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go func() {
		for _, p := range pieces {
			if _, err := c.Write(p); err != nil {
				return // the server has failed the connection: what it said is for the reader
			}
		}
	}()
	for i, w := range want {
		switch w.Kind {
		case wsproto.EventPong:
			continue
		case wsproto.EventPing:
			w.Opcode = wsproto.Pong
		case wsproto.EventClose, wsproto.EventNone:
			w.Opcode = wsproto.Close
		}
		h, err := ws.ReadHeader(c)
		if err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(c, payload); err != nil {
			return fmt.Errorf("answer %d: %w", i, err)
		}
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		if err := ws.CheckHeader(h, side); err != nil || !h.Fin || byte(h.OpCode) != byte(w.Opcode) {
			return fmt.Errorf("answer %d has the header %+v, %v", i, h, err)
		}
		if w.Opcode == wsproto.Close {
			code, _ := ws.ParseCloseFrameData(payload)
			if code.Empty() {
				code = ws.StatusNoStatusRcvd
			}
			if code != ws.StatusCode(w.Code) {
				return fmt.Errorf("close code %d, want %d", code, w.Code)
			}
		} else if !bytes.Equal(payload, w.Payload) {
			return fmt.Errorf("answer %d is %.40q (%d bytes), want %.40q (%d bytes)", i, payload, len(payload),
				w.Payload, len(w.Payload))
		}
	}
	if side.ServerSide() {
		c.(*net.TCPConn).CloseWrite()
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the close: %d bytes, %v", n, err)
	}
	return nil
}
