package wire_test

import (
	"encoding/hex"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestHistoriesCountWhatIsMadeOfMessages: a message is kept with what was made of it for each
// encoding and each size of window that clients have asked for. That is most of its memory, and
// belongs to MaxHistoryBytes.
func TestHistoriesCountWhatIsMadeOfMessages(t *testing.T) {
	const limit, messages, size = 1 << 20, 800, 2000
	hub := &topic.Hub{MaxHistoryBytes: limit, Options: func(string) topic.Options {
		return topic.Options{History: messages, HistoryBytes: 1 << 30}
	}}
	e := &wire.Endpoint{Hub: hub}
	url := wstest.Serve(t, &websocket.Server{Subprotocols: e.Subprotocols(), Message: e.Message,
		Compression: &websocket.Compression{}})
	peers := 0
	for bits := uint8(8); bits <= wsproto.MaxWindowBits; bits++ {
		for protocol, subscribe := range map[string]string{
			wire.SubprotocolBinary: "\x01\x04room", wire.SubprotocolJSON: `{"type":"subscribe","topic":"room"}`,
		} {
			p := wstest.Dial(t, url, &wstest.Offer{Subprotocols: []string{protocol},
				Deflate: &wsproto.Deflate{ServerMaxWindowBits: bits, ServerNoContextTakeover: true,
					ClientNoContextTakeover: true}})
			op := wsproto.Binary
			if protocol == wire.SubprotocolJSON {
				op = wsproto.Text
			}
			p.Send(op, subscribe)
			p.Message()
			go io.Copy(io.Discard, p.Underlying())
			peers++
		}
	}
	before := heap()
	for i := range messages {
		var b [size / 2]byte
		for j := range b {
			b[j] = byte(rand.Uint32())
		}
		if err := hub.Publish("room", websocket.Text, hex.AppendEncode(nil, b[:])); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			waitFor(t, func() bool { return hub.Stats().Delivered == int64((i+1)*peers) })
		}
	}
	held := heap() - before
	if held > 3*limit/2 {
		t.Errorf("histories hold %d KiB, where %d are allowed and %d are counted", held>>10, limit>>10,
			hub.Stats().History>>10)
	}
	runtime.KeepAlive(hub)
}

// heap returns the memory in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond / 10) {
		if time.Now().After(end) {
			t.Fatal("it takes too long")
		}
	}
}
