package websocket_test

import (
	"errors"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestCloseFramesThatCross look like a closing handshake that this end began: SentFirst proves
// nothing about what was sent before.
func TestCloseFramesThatCross(t *testing.T) {
	opened, reasons := make(chan websocket.Handle, 1), make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Open:  func(c *websocket.Conn) { opened <- c.Handle() },
		Close: func(_ *websocket.Conn, err error) { reasons <- err },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	waiting, closing := make(chan bool, 1), make(chan bool)
	receive(t, "Open", opened).Post(func(c *websocket.Conn) {
		waiting <- true
		<-closing // the peer's frame is on its way
		c.Close(4001, "")
	})
	receive(t, "the loop", waiting)
	ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4000, ""))))
	close(closing)
	if code, _ := c.closeCode(t); code != 4001 {
		t.Errorf("code %d", code)
	}
	c.Close()
	var e *websocket.CloseError
	if err := receive(t, "Close", reasons); !errors.As(err, &e) || !e.SentFirst || e.Code != 4000 ||
		e.SentCode != 4001 {
		t.Errorf("%v", err)
	}
}
