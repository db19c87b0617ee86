package topic_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// generation is a process, as far as the test can have several in one.
type generation struct {
	hub          *topic.Hub
	eng          *engine.Engine
	ln           *engine.Listener
	offered, ran chan error
}

// succeed starts a generation, which takes over from the one before.
func succeed(t *testing.T, path string, options func(string) topic.Options) *generation {
	t.Helper()
	return succeedWith(t, path, &topic.Hub{Format: lines{}, Options: options})
}

// succeedWith is succeed with a Hub.
func succeedWith(t *testing.T, path string, hub *topic.Hub) *generation {
	t.Helper()
	g := &generation{hub: hub, offered: make(chan error, 1), ran: make(chan error, 1)}
	s := commands(g.hub)
	s.Handover = &websocket.Handover{Movers: map[string]websocket.Mover{"topics": g.hub}}
	var err error
	if g.eng, err = engine.New(engine.Config{Loops: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.eng.Close() })
	t.Cleanup(g.hub.Close)
	h := &engine.Handover{Path: path, Load: s.Load, Links: map[string]engine.Link{"topics": g.hub}}
	if _, err := h.Inherit(t.Context(), g.eng); err != nil {
		t.Fatal(err)
	}
	if g.ln, err = g.eng.Listen("tcp", "127.0.0.1:0", s.Accept); err != nil {
		t.Fatal(err)
	}
	go func() { g.ran <- g.eng.Run(context.Background()) }()
	<-g.eng.Started()
	go func() { g.offered <- h.Offer(context.Background(), g.eng) }()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return g
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody offers")
		}
	}
}

// handOver starts the next generation, and waits for the end of this one.
func (g *generation) handOver(t *testing.T, path string, options func(string) topic.Options) *generation {
	t.Helper()
	next := succeed(t, path, options)
	g.end(t)
	return next
}

// end waits for the end of this generation.
func (g *generation) end(t *testing.T) {
	t.Helper()
	if err := <-g.offered; !errors.Is(err, engine.ErrHandedOver) {
		t.Fatal(err)
	}
	<-g.ran
}

// TestTopicsAreHandedOver: subscribers move while programs publish in both processes, to topics
// with and without history, and hear everything once and in order. Nobody leaves.
func TestTopicsAreHandedOver(t *testing.T) {
	options := func(name string) topic.Options {
		o := topic.Options{Presence: true}
		if strings.HasPrefix(name, "kept") {
			o.History = 100
		}
		return o
	}
	path := filepath.Join(t.TempDir(), "handover")
	g := succeed(t, path, options)
	var peers []*wstest.Peer
	for i := range 8 {
		p := wstest.Dial(t, "ws://"+g.ln.String(), nil)
		for _, name := range []string{"live", "kept"} {
			p.Send(wsproto.Text, fmt.Sprintf("as %d %s", i, name))
			for op, text := p.Message(); text != "ok"; op, text = p.Message() {
				if op != wsproto.Text || strings.Contains(text, "gap") {
					t.Fatal(text)
				}
			}
		}
		peers = append(peers, p)
	}
	said := map[string]int{}
	for range 4 {
		var all sync.WaitGroup
		old := g.hub
		all.Go(func() { publish(t, old, said) })
		g = g.handOver(t, path, options)
		all.Wait()
		for range 20 {
			for _, name := range []string{"live", "kept"} {
				if err := say(g.hub, name, said); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for i, p := range peers {
		next := map[string]int{}
		for next["live"] < said["live"] || next["kept"] < said["kept"] {
			_, text := p.Message()
			words := strings.Fields(text)
			if strings.Contains(text, "+") || strings.Contains(text, " from ") { // of others
				continue
			}
			var n int
			if fmt.Sscan(words[len(words)-1], &n); len(words) != 3 || n != next[words[0]] {
				t.Fatalf("peer %d: %q, want %d", i, text, next[words[0]])
			}
			next[words[0]]++
		}
	}
	g.hub.Members("live", func(all []topic.Member, err error) {
		if len(all) != len(peers) || err != nil {
			t.Errorf("%d members, %v", len(all), err)
		}
	})
}

// publish publishes until the Hub has handed its topics over, which the error says.
func publish(t *testing.T, h *topic.Hub, said map[string]int) {
	for {
		for _, name := range []string{"live", "kept"} {
			if err := say(h, name, said); errors.Is(err, engine.ErrHandedOver) {
				return
			} else if err != nil {
				t.Error(err)
				return
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// say publishes the next number.
func say(h *topic.Hub, name string, said map[string]int) error {
	err := h.Publish(name, websocket.Text, fmt.Append(nil, said[name]))
	if err == nil {
		said[name]++
	}
	return err
}
