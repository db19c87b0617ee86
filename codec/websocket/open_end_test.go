package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// requestAndMessage is an opening handshake and a message behind it, in one write.
func requestAndMessage(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	b := []byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("one"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(append(b, frame...)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestPauseInOpenHoldsWhatCameWithTheRequest until ResumeRead.
func TestPauseInOpenHoldsWhatCameWithTheRequest(t *testing.T) {
	paused, message := make(chan websocket.Handle, 1), make(chan bool, 1)
	resumed := false
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.EngineConn().PauseRead()
			paused <- c.Handle()
		},
		Message: func(*websocket.Conn, websocket.Opcode, []byte) { message <- resumed },
	}, engine.Config{Loops: 1})
	requestAndMessage(t, address)
	h := receive(t, "handle", paused)
	h.Post(func(c *websocket.Conn) {
		resumed = true
		c.EngineConn().ResumeRead()
	})
	if !receive(t, "message", message) {
		t.Error("the message came while reading was paused")
	}
}

// TestReleaseInOpenLeavesWhatCameWithTheRequest to the new owner.
func TestReleaseInOpenLeavesWhatCameWithTheRequest(t *testing.T) {
	unread := make(chan int, 1)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.EngineConn().Release(func(nc net.Conn, rest, _ []byte, _ error) {
				nc.Close()
				unread <- len(rest)
			})
		},
		Message: func(*websocket.Conn, websocket.Opcode, []byte) { t.Error("a message after Release") },
	}, engine.Config{Loops: 1})
	requestAndMessage(t, address)
	if n, frame := receive(t, "rest", unread), 2+4+len("one"); n != frame {
		t.Errorf("%d bytes are left, want %d", n, frame)
	}
}

// TestShutdownBoundsAClosingHandshakeThatHasBegun: its CloseTimeout may be longer than the time for
// Shutdown, but the engine must not have to cut.
func TestShutdownBoundsAClosingHandshakeThatHasBegun(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	closing := make(chan bool, 1)
	s := &websocket.Server{Open: func(c *websocket.Conn) {
		c.Close(websocket.NormalClosure, "")
		closing <- true
	}}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- eng.Run(ctx) }()
	// The peer reads, but does not answer the Close frame.
	go io.Copy(io.Discard, requestAndMessage(t, ln.String()))
	receive(t, "Close frame", closing)
	cancel()
	if err := receive(t, "end", ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
