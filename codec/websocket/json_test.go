package websocket_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

func TestJSON(t *testing.T) {
	type sum struct{ A, B int }
	_, address := start(t, &websocket.Server{Message: websocket.HandleJSON(func(c *websocket.Conn, s sum) {
		if _, err := c.SendJSON(math.NaN()); err == nil {
			t.Error("NaN is sent as JSON")
		}
		c.SendJSON(map[string]int{"sum": s.A + s.B})
	})}, engine.Config{Loops: 1})
	for _, test := range []struct {
		name    string
		op      ws.OpCode
		message string
		answer  string // or
		code    ws.StatusCode
	}{
		{name: "JSON", op: ws.OpText, message: `{"A": 1, "B": 2}`, answer: `{"sum":3}`},
		{name: "no JSON", op: ws.OpText, message: `{"A": 1`, code: 1007},
		{name: "other JSON", op: ws.OpText, message: `{"A": "1"}`, code: 1007},
		{name: "empty", op: ws.OpText, code: 1007},
		{name: "binary", op: ws.OpBinary, message: `{}`, code: 1003},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, address)
			wsutil.WriteClientMessage(c, test.op, []byte(test.message))
			if test.code == 0 {
				c.expect(t, ws.OpText, test.answer)
			} else if code, reason := c.closeCode(t); code != test.code {
				t.Errorf("%v %q, want %d", code, reason, test.code)
			}
		})
	}
}

func TestSendTextDoesNotAllocate(t *testing.T) {
	counted := make(chan string, 1)
	text := fmt.Sprintf("%05d", 7)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		counted <- fmt.Sprint(testing.AllocsPerRun(100, func() { c.SendText(text) }))
	}}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.expect(t, ws.OpText, text)
	if n := receive(t, "figure", counted); n != "0" {
		t.Errorf("%s allocations", n)
	}
}

func TestControlFramesAreNotMessages(t *testing.T) {
	handles := make(chan websocket.Handle, 1)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		if _, err := c.Send(9, nil); err == nil {
			t.Error("Send sends a ping")
		}
		handles <- c.Handle()
	}}, engine.Config{Loops: 1})
	c := dial(t, address)
	h := receive(t, "handle", handles)
	if h.Send(8, nil) == nil || h.SendWait(t.Context(), 8, nil) == nil || h.Ping(make([]byte, 126)) == nil {
		t.Error("a Handle sends what is not a message, or too long a ping")
	}
	h.Ping([]byte("marco"))
	h.SendPrepared(websocket.Prepare(websocket.Text, []byte("polo")), engine.SlowWait)
	c.expect(t, ws.OpPing, "marco")
	c.expect(t, ws.OpText, "polo")
}

// TestJSONIsWork: to decode a byte takes as long as to receive some dozen. 128 messages of 4 KiB
// were decoded in one turn, which takes 10 ms and more.
func TestJSONIsWork(t *testing.T) {
	const messages = 128
	got := make(chan any, messages)
	eng, address := start(t, &websocket.Server{Message: websocket.HandleJSON(func(_ *websocket.Conn, v any) {
		got <- v
	})}, engine.Config{Loops: 1})
	c := dial(t, address)
	var b []byte
	for range messages {
		b = wsproto.AppendMasked(b, wsproto.Text, 1, []byte("["+strings.Repeat("0,", 2<<10)+"0]"))
	}
	before := countersOf(t, eng).Turns
	c.Write(b)
	for range messages {
		receive(t, "message", got)
	}
	if n := countersOf(t, eng).Turns - before; n < messages*(4<<10)*8/(512<<10) {
		t.Errorf("%d messages were decoded in %d turns", messages, n)
	}
}
