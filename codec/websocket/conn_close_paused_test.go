package websocket_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestCloseReadsTheAnswerOfAPausedPeer: reading stayed paused, by Server.Rate or by the program, so
// that the answer to the Close frame went unnoticed until CloseTimeout.
func TestCloseReadsTheAnswerOfAPausedPeer(t *testing.T) {
	slow := &websocket.Rate{Messages: 0.001, Burst: 1}
	leave := func(c *websocket.Conn) { c.AfterFunc(0, func() { c.Close(4000, "") }) }
	for _, test := range []struct {
		name     string
		rate     *websocket.Rate
		exceeded func(*websocket.Conn)
		second   func(*websocket.Conn) // is called for the second message
		shutdown bool
		messages int
		code     ws.StatusCode
	}{
		{name: "PauseRead", code: 4000, messages: 2, second: func(c *websocket.Conn) {
			c.EngineConn().PauseRead()
			leave(c)
		}},
		{name: "Close behind PauseRead", code: 4000, messages: 2, second: func(c *websocket.Conn) {
			c.EngineConn().PauseRead()
			c.Close(4000, "")
		}},
		{name: "PauseExcess", code: 4000, messages: 2, rate: slow, second: leave},
		{name: "Close in Exceeded", code: 4000, messages: 1, rate: slow,
			exceeded: func(c *websocket.Conn) { c.Close(4000, "") }},
		{name: "Shutdown", code: 1001, messages: 2, rate: slow, second: func(*websocket.Conn) {}, shutdown: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			reason, told := make(chan error, 1), make(chan bool, 1)
			got := 0
			s := &websocket.Server{
				Limits: websocket.Limits{CloseTimeout: time.Minute},
				Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
					if got++; got == 2 {
						test.second(c)
						told <- true
					}
				},
				Close: func(_ *websocket.Conn, err error) { reason <- err },
			}
			if test.rate != nil {
				rate := *test.rate
				rate.Exceeded, s.Rate = test.exceeded, &rate
			}
			eng, address := start(t, s, engine.Config{Loops: 1})
			c := dial(t, address)
			wsutil.WriteClientText(c, []byte("one"))
			wsutil.WriteClientText(c, []byte("two"))
			if test.shutdown {
				receive(t, "second message", told)
				go eng.Shutdown(context.Background())
			}
			if code, _ := c.closeCode(t); code != test.code {
				t.Errorf("close code %d", code)
			}
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(test.code, ""))))
			c.Close()
			var e *websocket.CloseError
			if err := receive(t, "end", reason); !errors.As(err, &e) || !e.SentFirst ||
				e.Code != websocket.CloseCode(test.code) {
				t.Errorf("the reason is %v", err)
			}
			if got != test.messages {
				t.Errorf("%d messages were delivered, want %d", got, test.messages)
			}
		})
	}
}
