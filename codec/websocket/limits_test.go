package websocket_test

import (
	"io"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestLimitsAreSwitchedOffInTheSameWay: what the default of a limit refuses, a negative one lets pass.
func TestLimitsAreSwitchedOffInTheSameWay(t *testing.T) {
	masked := func(h wsproto.Header, payload string) string {
		h.Masked, h.Length = true, uint64(len(payload))
		return string(wsproto.AppendHeader(nil, h)) + payload // the key is 0
	}
	fragments := masked(wsproto.Header{Opcode: wsproto.Binary}, "") + strings.Repeat(masked(wsproto.Header{}, ""), 5000) +
		masked(wsproto.Header{Fin: true}, "")
	for _, test := range []struct {
		name    string
		off     websocket.Limits
		field   string // of the request
		frames  string
		refusal int // by default: an HTTP status, or a close code
	}{
		{name: "MaxMessage", off: websocket.Limits{MaxMessage: -1}, frames: masked(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, strings.Repeat("x", 2<<20)),
			refusal: 1009},
		{name: "MaxFragments", off: websocket.Limits{MaxFragments: -1}, frames: fragments, refusal: 1008},
		{name: "ControlRate", off: websocket.Limits{ControlRate: -1}, refusal: 1008,
			frames: strings.Repeat(masked(wsproto.Header{Fin: true, Opcode: wsproto.Pong}, ""), 3000) + masked(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, "")},
		{name: "MaxHeader", off: websocket.Limits{MaxHeader: -1}, field: "X: " + strings.Repeat("y", 20<<10), refusal: 431},
		{name: "MaxHeaderFields", off: websocket.Limits{MaxHeaderFields: -1}, field: strings.Repeat("X: y\r\n", 200) + "X: y", refusal: 431},
	} {
		for _, off := range []bool{false, true} {
			name := test.name + " by default"
			limits := websocket.Limits{}
			if off {
				name, limits = test.name+" off", test.off
			}
			t.Run(name, func(t *testing.T) {
				messages := make(chan struct{}, 1)
				ended := make(chan error, 1)
				_, address := start(t, &websocket.Server{
					Limits:  limits,
					Message: func(*websocket.Conn, websocket.Opcode, []byte) { messages <- struct{}{} },
					Close:   func(_ *websocket.Conn, err error) { ended <- err },
				}, engine.Config{Loops: 1})
				var fields []string
				if test.field != "" {
					fields = []string{test.field}
				}
				c, status := openRaw(t, address, "/", fields...)
				want := 101
				if !off && test.field != "" {
					want = test.refusal
				}
				if status != want {
					t.Fatalf("status %d, want %d", status, want)
				}
				if test.frames == "" {
					return
				}
				io.WriteString(c, test.frames) // an error means that the server has closed the connection
				if off {
					receive(t, "message", messages)
					return
				}
				if code, reason := c.closeCode(t); int(code) != test.refusal {
					t.Fatalf("close code %d %q, want %d", code, reason, test.refusal)
				}
				receive(t, "Close", ended)
			})
		}
	}
}
