package topic_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestManyLoops: peers on several loops and engines come, go and are slow, publishers and callbacks
// use the Hub at the same time, and one engine ends. Everybody who stays gets all messages in
// order.
func TestManyLoops(t *testing.T) {
	var h topic.Hub
	h.Options = func(string) topic.Options { return topic.Options{History: 100_000, HistoryBytes: 1 << 30} }
	h.MaxPending = 64 << 10
	const messages = 2000
	server := &websocket.Server{
		Open: func(c *websocket.Conn) { h.Subscribe(c, "count") },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			h.Unsubscribe(c, "count")
			h.Subscribe(c, "other")
			h.Publish("other", op, data)
			h.Unsubscribe(c, "other")
			h.Subscribe(c, "count")
		},
	}
	doomed, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := doomed.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	go doomed.Run(context.Background())
	url := wstest.Serve(t, server)
	var all sync.WaitGroup
	for range 8 {
		p := wstest.Dial(t, url, nil)
		all.Go(func() {
			for want := range uint64(messages) {
				_, data := p.Message()
				if got := binary.BigEndian.Uint64([]byte(data)); got != want {
					t.Errorf("message %d, want %d", got, want)
					return
				}
			}
		})
	}
	for range 4 {
		wstest.Dial(t, "ws://"+ln.Addr().String(), nil) // never reads
	}
	restless := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-restless:
					return
				default:
				}
				p := wstest.Dial(t, url, nil)
				p.Send(wsproto.Text, "x")
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
				p.CloseNow()
			}
		})
	}
	for i := range uint64(messages) {
		if err := h.Publish("count", websocket.Binary, binary.BigEndian.AppendUint64(nil, i)); err != nil {
			t.Fatal(err)
		}
		if i == messages/2 {
			doomed.Close()
		}
	}
	all.Wait()
	close(restless)
	others.Wait()
	if s := h.Stats(); s.Gaps != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCallbacks: a Format and Hub.Gap that panic hurt one connection, and Gap may use the Hub.
func TestCallbacks(t *testing.T) {
	gaps := make(chan topic.Gap, 4)
	var h topic.Hub
	h = topic.Hub{Format: lines{}, Gap: func(c *websocket.Conn, name string, g topic.Gap) {
		gaps <- g
		if c.Value != nil {
			panic("in Gap")
		}
		h.Unsubscribe(c, name)
		h.Publish(name, websocket.Text, []byte("told"))
	}}
	opened := 0
	server := commands(&h)
	server.Open = func(c *websocket.Conn) {
		if opened++; opened == 2 {
			c.Value = "panics"
		}
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(t.Context())
	defer eng.Close()
	url := "ws://" + ln.Addr().String()
	a, b := wstest.Dial(t, url, nil), wstest.Dial(t, url, nil)
	for _, p := range []*wstest.Peer{a, b} {
		p.Send(wsproto.Text, "sub room")
		p.Message()
		p.Message()
	}
	script(t, a, `
		> pub room panic
		ok
		room gap 0-0`)
	b.Expect(wsproto.Text, "room gap 0-0")
	<-gaps
	<-gaps
	b.ExpectEnd()
	script(t, a, `
		> pub room x
		ok
		> sub room
		room from 3
		ok`)
}
