package room_test

import (
	"encoding/hex"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestKeptIsBoundedWhereWindowsDiffer: a client that came back with other sizes of windows each
// time made what is kept four times as large as MaxKept: it is compressed for each of them.
func TestKeptIsBoundedWhereWindowsDiffer(t *testing.T) {
	const limit = 4 << 20
	for _, c := range []struct {
		name   string
		config room.Config
	}{
		{name: "per seat", config: room.Config{MaxKept: limit}},
		{name: "in total", config: room.Config{MaxKept: 1 << 30, MaxKeptTotal: limit}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Grace = time.Minute
			h := openWith(t, c.config, &websocket.Compression{})
			g := h.join(t)
			g.CloseNow()
			h.until(t, "loss", func() bool { return h.away() == 1 })
			before := heapInUse()
			h.on(t, func() {
				for s := range h.Seats() {
					for range limit / 2000 {
						var b [1000]byte
						for i := range b {
							b[i] = byte(rand.Uint32())
						}
						s.Send(websocket.Text, hex.AppendEncode(nil, b[:]))
					}
				}
			})
			sent := uint64(limit / 2000)
			for bits := uint8(9); bits <= wsproto.MaxWindowBits; bits++ {
				p := wstest.Dial(t, "ws://"+h.address+"/"+g.query(), &wstest.Offer{Deflate: &wsproto.Deflate{
					ServerMaxWindowBits: bits, ServerNoContextTakeover: true, ClientNoContextTakeover: true}})
				p.Message()
				go io.Copy(io.Discard, p.Underlying())
			}
			var n int64
			h.until(t, "the end of sending", func() bool {
				n = heapInUse() - before
				return n <= limit*5/4
			})
			h.on(t, func() {
				for s := range h.Seats() {
					if s.Sent() != sent {
						t.Errorf("%d were sent, want %d", s.Sent(), sent)
					}
				}
			})
			if h.missed.Load() == 0 {
				t.Error("no Resume told that messages were given up")
			}
		})
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
