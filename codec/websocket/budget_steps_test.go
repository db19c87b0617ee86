package websocket_test

import (
	"bytes"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// TestPiecesThatInflateToNothingAreWork: compressed bytes without content use up the share of a
// turn, although no piece is delivered, and what follows them is not left behind.
func TestPiecesThatInflateToNothingAreWork(t *testing.T) {
	const blocks, step = 20_000, 2 << 10
	done := make(chan int, 1)
	eng, address := start(t, &websocket.Server{Piece: func(_ *websocket.Conn, _ websocket.Opcode, b []byte, last bool) {
		if last {
			done <- len(b)
		}
	}, Compression: &websocket.Compression{}}, engine.Config{Loops: 1})
	b := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, blocks) // stored, and empty
	b = append(b, deflate.New(deflate.Compression{Level: 9}).Append(nil, []byte("x"), nil, 15)...)
	h := wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Binary, Masked: true, Length: uint64(len(b))}
	c := dialDeflate(t, address, "permessage-deflate", noTakeover)
	before := countersOf(t, eng).Turns
	c.Write(append(wsproto.AppendHeader(nil, h), b...))
	if n := receive(t, "last piece", done); n > 1 {
		t.Errorf("%d bytes", n)
	}
	if n := countersOf(t, eng).Turns - before; n < uint64(len(b)/step/2) {
		t.Errorf("%d bytes were inflated in %d turns", len(b), n)
	}
}

// TestStepsOfManyMessagesStayInTheBudget: while large messages of many peers are inflated at the
// same time, the budget is looked at after each step, not after each turn.
func TestStepsOfManyMessagesStayInTheBudget(t *testing.T) {
	const peers, most = 128, 8 << 20
	eng, address := start(t, &websocket.Server{Message: func(*websocket.Conn, websocket.Opcode, []byte) {},
		Compression: &websocket.Compression{}}, engine.Config{Loops: 1, MaxBuffered: most})
	bomb := packed(1<<20, true)
	var all []*deflatePeer
	for range peers {
		all = append(all, dialDeflate(t, address, "permessage-deflate", noTakeover))
	}
	blocked, free := make(chan bool), make(chan bool)
	eng.Post(0, func() { blocked <- true; <-free })
	receive(t, "blocked loop", blocked)
	for _, c := range all {
		c.Write(bomb)
	}
	close(free)
	held := 0
	await(t, eng, func(s engine.Stats) bool {
		held = max(held, s.Held)
		return s.BytesRead >= uint64(peers*len(bomb)) && s.Held == 0
	})
	if held > most+3<<20 || held < most/2 {
		t.Errorf("%d bytes were held, the limit is %d", held, most)
	}
	if n := countersOf(t, eng).Closed[engine.CauseLimit]; n == 0 {
		t.Error("nobody was closed")
	}
}

// TestNothingIsHeldAfterALargeMessage: one that had used up the share of a turn stayed in memory
// until the peer sent something else.
func TestNothingIsHeldAfterALargeMessage(t *testing.T) {
	done := make(chan int, 1)
	eng, address := start(t, &websocket.Server{Message: func(_ *websocket.Conn, _ websocket.Opcode, b []byte) {
		done <- len(b)
	}, Compression: &websocket.Compression{}}, engine.Config{Loops: 1})
	c := dialDeflate(t, address, "permessage-deflate", noTakeover)
	c.Write(packed(1<<20, true))
	receive(t, "message", done)
	if s := countersOf(t, eng); s.Held != 0 {
		t.Errorf("%d bytes are held", s.Held)
	}
}
