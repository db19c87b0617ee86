package websocket_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// verse is n bytes of text that repeats itself, and another one for each seed.
func verse(seed uint64, n int) string {
	rng := rand.New(rand.NewPCG(seed, 1))
	line := ""
	for len(line) < 60 {
		line += fmt.Sprintf("%d ", rng.IntN(1000))
	}
	return strings.Repeat(line, n/60+1)[:n]
}

// TestPreparedMessagesAreCompressedWhereItHelps: above the threshold, and if they get smaller; and
// what comes after them finds the window that the peer has.
func TestPreparedMessagesAreCompressedWhereItHelps(t *testing.T) {
	opened := make(chan websocket.Handle, 1)
	_, address := start(t, &websocket.Server{
		Message:     echo,
		Open:        func(c *websocket.Conn) { opened <- c.Handle() },
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
	}, engine.Config{Loops: 1})
	c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	to := []websocket.Handle{receive(t, "connection", opened)}
	noise := make([]byte, 1000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for round := range uint64(5) {
		for _, m := range []struct {
			text       string
			compressed bool
		}{{verse(round, 3000), true}, {verse(round, 255), false}, {string(noise), false},
			{verse(round, 256+int(round)), true}} {
			websocket.Broadcast(websocket.Prepare(websocket.Binary, []byte(m.text)), slices.Values(to), engine.SlowWait)
			c.expect(t, m.text)
			if compressed := c.rsv != 0; compressed != m.compressed {
				t.Errorf("a message of %d bytes is compressed: %v", len(m.text), compressed)
			}
			reply := m.text[len(m.text)/3:] + verse(100+round, 300)
			c.send(t, wsproto.Binary, reply)
			c.expect(t, reply)
		}
	}
}

// TestDroppedBroadcastsLeaveTheWindowAsItIs: where messages may be dropped, those with context
// takeover are sent as they are, since later ones would refer to what the peer never got.
func TestDroppedBroadcastsLeaveTheWindowAsItIs(t *testing.T) {
	for _, slow := range []engine.SlowPolicy{engine.SlowDropNewest, engine.SlowDropOldest} {
		opened := make(chan websocket.Handle, 1)
		eng, address := start(t, &websocket.Server{
			Message:     echo,
			Open:        func(c *websocket.Conn) { opened <- c.Handle() },
			Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
		}, engine.Config{Loops: 1})
		c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
		to := []websocket.Handle{receive(t, "connection", opened)}
		first := verse(1, 3000)
		c.send(t, wsproto.Text, first)
		c.expect(t, first)
		const sent = 1000
		for i := range uint64(sent) {
			websocket.Broadcast(websocket.Prepare(websocket.Text, []byte(verse(i, 20_000))), slices.Values(to), slow)
		}
		await(t, eng, func(s engine.Stats) bool { return s.Slow[slow] > 0 })
		last := make(chan bool)
		to[0].Post(func(ws *websocket.Conn) {
			ws.Send(websocket.Text, []byte("the end "+first))
			close(last)
		})
		receive(t, "end", last)
		got := 0
		for {
			text := c.next(t)
			if text == "the end "+first {
				break
			}
			got++
		}
		if got == 0 || got == sent {
			t.Errorf("%d of %d messages have arrived: the test tests nothing", got, sent)
		}
	}
}
