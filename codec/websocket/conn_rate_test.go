package websocket_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestRate: a peer that sends more messages at once than it may is paused, loses the rest, or is
// closed, whether the messages come whole or in pieces.
func TestRate(t *testing.T) {
	const burst, sent = 5, 12
	for _, c := range []struct {
		name     string
		rate     websocket.Rate
		pieces   bool
		want     int // messages that are delivered
		exceeded int
		code     ws.StatusCode // 0: it stays open
	}{
		{name: "drop", rate: websocket.Rate{Excess: websocket.DropExcess}, want: burst, exceeded: sent - burst},
		{name: "close", rate: websocket.Rate{Excess: websocket.CloseExcess}, want: burst, exceeded: 1, code: 1008},
		{name: "close with 1013", want: burst, exceeded: 1, code: 1013,
			rate: websocket.Rate{Excess: websocket.CloseExcess, CloseCode: websocket.TryAgainLater}},
		{name: "drop pieces", pieces: true, want: burst, exceeded: sent - burst,
			rate: websocket.Rate{Excess: websocket.DropExcess}},
		{name: "close pieces", pieces: true, want: burst, exceeded: 1, code: 1008,
			rate: websocket.Rate{Excess: websocket.CloseExcess}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got, exceeded atomic.Int64
			c.rate.Messages, c.rate.Burst = 0.001, burst
			c.rate.Exceeded = func(*websocket.Conn) { exceeded.Add(1) }
			s := &websocket.Server{
				Rate: &c.rate,
				Ping: func(c *websocket.Conn, _ []byte) { c.SendText("end") },
			}
			if c.pieces {
				s.Piece = func(_ *websocket.Conn, _ websocket.Opcode, data []byte, last bool) {
					if last {
						got.Add(1)
					}
				}
			} else {
				s.Message = func(*websocket.Conn, websocket.Opcode, []byte) { got.Add(1) }
			}
			_, address := start(t, s, engine.Config{Loops: 1})
			peer := dial(t, address)
			for range sent {
				if err := wsutil.WriteClientText(peer, []byte(strings.Repeat("x", 100))); err != nil {
					break // it is closed
				}
			}
			if c.code != 0 {
				if code, _ := peer.closeCode(t); code != c.code {
					t.Errorf("close code %d, want %d", code, c.code)
				}
			} else {
				ws.WriteFrame(peer, ws.MaskFrame(ws.NewPingFrame(nil)))
				peer.expect(t, ws.OpPong, "")
				peer.expect(t, ws.OpText, "end")
			}
			if got.Load() != int64(c.want) || exceeded.Load() != int64(c.exceeded) {
				t.Errorf("%d of %d messages are delivered, want %d; Exceeded was called %d times, want %d", got.Load(),
					sent, c.want, exceeded.Load(), c.exceeded)
			}
		})
	}
}

// TestRatePauses: nothing is lost, and it takes as long as the rate says, by the loop's clock.
func TestRatePauses(t *testing.T) {
	for _, c := range []struct {
		name string
		rate websocket.Rate
	}{
		{name: "messages", rate: websocket.Rate{Messages: 200, Burst: 10}},
		{name: "bytes", rate: websocket.Rate{Bytes: 20_000, BurstBytes: 1000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const sent, size = 50, 100 // 40 messages beyond the burst, at 200 per second
			var exceeded int
			var first, last time.Duration
			took := make(chan time.Duration, 1)
			got := 0
			c.rate.Exceeded = func(*websocket.Conn) { exceeded++ }
			_, address := start(t, &websocket.Server{
				Rate: &c.rate,
				Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
					last = c.EngineConn().Now()
					if got++; got == 1 {
						first = last
					}
					if got == sent {
						took <- last - first
					}
				},
			}, engine.Config{Loops: 1})
			peer := dial(t, address)
			for range sent {
				if err := wsutil.WriteClientText(peer, []byte(strings.Repeat("x", size))); err != nil {
					t.Fatal(err)
				}
			}
			const least = (sent - 10 - 1) * time.Second / 200
			if d := receive(t, "last message", took); d < least {
				t.Errorf("it took %v, want at least %v", d, least)
			}
		})
	}
}

// TestRateWithinMessage: a message that does not end cannot be dropped any more, so its sender is
// paused, whatever else becomes of messages that come too fast.
func TestRateWithinMessage(t *testing.T) {
	for _, excess := range []websocket.ExcessPolicy{websocket.PauseExcess, websocket.DropExcess,
		websocket.CloseExcess} {
		ends := make(chan string, 100)
		s := &websocket.Server{
			Piece: func(_ *websocket.Conn, _ websocket.Opcode, _ []byte, last bool) {
				if last {
					ends <- "all delivered"
				}
			},
			Rate: &websocket.Rate{Bytes: 1, BurstBytes: 1, Excess: excess,
				Exceeded: func(c *websocket.Conn) {
					c.AfterFunc(0, func() {
						if c.EngineConn().Reading() {
							ends <- "read on"
						} else {
							ends <- "paused"
						}
					})
				}},
		}
		_, address := start(t, s, engine.Config{Loops: 1})
		peer := dial(t, address)
		go func() {
			defer peer.Close()
			frame := ws.MaskFrame(ws.NewTextFrame(make([]byte, 1<<20)))
			frame.Header.Fin = false
			for i := range 64 {
				if i > 0 {
					frame.Header.OpCode = ws.OpContinuation
				}
				frame.Header.Fin = i == 63
				if ws.WriteFrame(peer, frame) != nil {
					return
				}
			}
		}()
		if got := receive(t, "pause or end", ends); got != "paused" {
			t.Errorf("excess %d: %s", excess, got)
		}
		peer.Close()
	}
}

// TestRateOfPatientPeer: a peer that keeps to the rate is never disturbed, and one larger message
// than the burst passes after a silence.
func TestRateOfPatientPeer(t *testing.T) {
	_, address := start(t, &websocket.Server{
		Rate: &websocket.Rate{Bytes: 1e6, BurstBytes: 10, Excess: websocket.CloseExcess},
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			c.Send(op, data)
		},
	}, engine.Config{Loops: 1})
	peer := dial(t, address)
	peer.ask(t, ws.OpText, strings.Repeat("x", 1000))
}

// TestRateIsChecked: Server.Check finds a Rate that makes no sense.
func TestRateIsChecked(t *testing.T) {
	for _, r := range []websocket.Rate{{Messages: -1}, {Bytes: -1}, {Burst: -1}, {BurstBytes: -1}, {Excess: 9}} {
		if (&websocket.Server{Rate: &r}).Check() == nil {
			t.Errorf("%+v: no error", r)
		}
	}
}
