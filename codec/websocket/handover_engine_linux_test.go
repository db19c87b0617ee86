package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// successor is an engine that takes over from another one: in this test both are in one process.
type successor struct {
	eng           *engine.Engine
	ran, offered  chan error
	plain, secure *engine.Listener
}

// succeed starts an engine, which takes over what there is to take over.
func succeed(t *testing.T, path string, config *tls.Config) *successor {
	t.Helper()
	s := &websocket.Server{Message: echo, Handover: new(websocket.Handover),
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 20}}
	l, err := tlslayer.New(tlslayer.Config{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	g := &successor{ran: make(chan error, 1), offered: make(chan error, 1)}
	if g.eng, err = engine.New(engine.Config{Loops: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.eng.Close() })
	h := &engine.Handover{Path: path, Load: s.Load, Layer: l.Server()}
	if _, err := h.Inherit(t.Context(), g.eng); err != nil {
		t.Fatal(err)
	}
	if g.plain, err = g.eng.Listen("tcp", "127.0.0.1:0", s.Accept); err != nil {
		t.Fatal(err)
	}
	lc := engine.ListenConfig{Layer: l.Server()}
	if g.secure, err = lc.Listen(g.eng, "tcp", "127.0.0.2:0", s.Accept); err != nil {
		t.Fatal(err)
	}
	go func() { g.ran <- g.eng.Run(context.Background()) }()
	receive(t, "Run", g.eng.Started())
	go func() { g.offered <- h.Offer(context.Background(), g.eng) }()
	until(t, "offer", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	return g
}

// TestWebSocketsAreHandedOver: connections with and without TLS and compression are under load
// while engines take over from one another. None is closed, and no message is lost or changed.
func TestWebSocketsAreHandedOver(t *testing.T) {
	certs := certificateFor("localhost")
	config := &tls.Config{Certificates: []tls.Certificate{certs}}
	path := filepath.Join(t.TempDir(), "handover")
	g := succeed(t, path, config)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var rounds atomic.Int64
	for i := range 12 {
		url, c := "ws://"+g.plain.String(), new(wsconn.Config)
		if i%2 == 0 {
			url, c.TLS = "wss://"+g.secure.String(), &tls.Config{InsecureSkipVerify: true}
		}
		if i%3 > 0 {
			c.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 20}
		}
		conn, err := wsconn.Dial(ctx, url, c)
		if err != nil {
			t.Fatal(err)
		}
		clients.Go(func() {
			defer conn.CloseNow()
			if err := converse(ctx, conn, &rounds); err != nil {
				t.Errorf("%s, compression %t: %v", url[:3], c.Compression != nil, err)
			}
		})
	}
	for range 4 {
		before := rounds.Load()
		until(t, "messages", func() bool { return rounds.Load() > before+100 })
		next := succeed(t, path, config)
		if err := receive(t, "end of Offer", g.offered); !errors.Is(err, engine.ErrHandedOver) {
			t.Fatal(err)
		}
		receive(t, "end of Run", g.ran)
		g = next
	}
	before := rounds.Load()
	until(t, "messages", func() bool { return rounds.Load() > before+100 })
	if n := countersOf(t, g.eng).Connections; n != 12 {
		t.Errorf("%d connections are open", n)
	}
	stop()
	clients.Wait()
}

// converse sends messages, two at a time, and reads them back, until ctx ends.
func converse(ctx context.Context, c *wsconn.Conn, rounds *atomic.Int64) error {
	for n := 0; ctx.Err() == nil; n++ {
		texts := []string{fmt.Sprintf("message %d", n), strings.Repeat(fmt.Sprintf("text %d é ", n), n%3000)}
		for _, text := range texts {
			if err := c.Write(context.Background(), websocket.Text, []byte(text)); err != nil {
				return err
			}
		}
		for _, text := range texts {
			if _, got, err := c.Read(context.Background()); err != nil || string(got) != text {
				return fmt.Errorf("round %d: got %d bytes, want %d, %w", n, len(got), len(text), err)
			}
		}
		rounds.Add(1)
	}
	return nil
}
