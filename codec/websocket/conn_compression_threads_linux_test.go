package websocket_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// TestInflatingGoesOnOnAnotherThread: a callback that calls runtime.Goexit on a bound loop ends the
// loop's thread. A message of another connection that was inflated in part ended the process then.
func TestInflatingGoesOnOnAnotherThread(t *testing.T) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !may.IsSet(cpu) {
		cpu++
	}
	begun, whole := make(chan bool, 1), make(chan int, 1)
	sizes := make(map[*websocket.Conn]int)
	s := &websocket.Server{
		Compression: &websocket.Compression{MaxRatio: -1},
		Message:     func(*websocket.Conn, websocket.Opcode, []byte) { runtime.Goexit() },
		Piece: func(c *websocket.Conn, _ websocket.Opcode, data []byte, last bool) {
			if sizes[c] == 0 {
				begun <- true
			}
			if sizes[c] += len(data); last {
				whole <- sizes[c]
			}
		},
	}
	_, address := start(t, s, engine.Config{Loops: 1, CPUs: []int{cpu}})
	c := dialDeflate(t, address, "permessage-deflate; client_no_context_takeover",
		wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true})
	text := strings.Repeat("tick 12345 price 678.90;", 100_000)
	out := deflate.New(deflate.Compression{}).Append(nil, []byte(text), nil, wsproto.MaxWindowBits)
	send := func(h wsproto.Header, payload []byte) {
		h.Masked, h.Length = true, uint64(len(payload)) // by a key of zeros
		if _, err := c.Write(append(wsproto.AppendHeader(nil, h), payload...)); err != nil {
			t.Fatal(err)
		}
	}
	send(wsproto.Header{RSV: wsproto.RSV1, Opcode: wsproto.Text}, out[:len(out)/2])
	receive(t, "first piece", begun)
	exits := dial(t, address)
	ws.WriteFrame(exits, ws.MaskFrame(ws.NewTextFrame([]byte("exit"))))
	if code, _ := exits.closeCode(t); code != 1011 {
		t.Errorf("close code %d", code)
	}
	send(wsproto.Header{Fin: true}, out[len(out)/2:])
	if n := receive(t, "the whole message", whole); n != len(text) {
		t.Errorf("%d bytes of %d", n, len(text))
	}
}
