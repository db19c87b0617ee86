package nats

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestEchoesBesideStoppedServer measures echoes of connections whose loop publishes to a server
// that is gone, with a queue that is full soon, against the same without publishing, in turn.
// MYRIAD_NATS_ROUNDS is the number of rounds.
func TestEchoesBesideStoppedServer(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{
		URL: s.ClientURL(), MaxPending: 1 << 20, PublishTimeout: 90 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}
	h := &topic.Hub{Broker: b}
	busy := 0
	payload := make([]byte, 1000)
	address := wstest.Serve(t, &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if data[0] == 'p' {
				for i := range 4 {
					if h.Publish(fmt.Sprint("room", i), websocket.Binary, payload) != nil {
						busy++
					}
				}
			}
			c.Send(op, data)
		},
	})
	t.Cleanup(func() {
		h.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = b.Close(ctx)
	})
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	ready(t, b)
	s.Shutdown()
	s.WaitForShutdown()
	until(t, "the node knows", func() bool { return b.Health() != nil })
	p := wstest.Dial(t, address, nil)
	var took [2][]time.Duration
	for round := range 2 * setting("MYRIAD_NATS_ROUNDS", 4) {
		text := string("ep"[round%2]) + "cho"
		for range 2000 {
			start := time.Now()
			p.Send(wsproto.Text, text)
			p.Expect(wsproto.Text, text)
			took[round%2] = append(took[round%2], time.Since(start))
		}
	}
	at := func(i int, share float64) time.Duration {
		slices.Sort(took[i])
		return took[i][int(share*float64(len(took[i])-1))]
	}
	t.Logf("p50 and p99 without: %v, %v; publishing to a stopped server: %v, %v; %d of %d calls were refused",
		at(0, .5), at(0, .99), at(1, .5), at(1, .99), busy, 4*len(took[1]))
	if n, bytes := b.queue.pending(); bytes > 1<<20 || busy == 0 {
		t.Errorf("%d messages of %d bytes wait, %d calls were refused", n, bytes, busy)
	}
	if with, without := at(1, .99), at(0, .99); with > 2*without+5*time.Millisecond {
		t.Errorf("the echoes' p99 is %v, and without publishing %v", with, without)
	}
}
