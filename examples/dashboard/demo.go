package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// load keeps n clients at work until ctx ends. Each is a goroutine.
func load(ctx context.Context, address string, secure bool, n int) {
	scheme := "ws"
	if secure {
		scheme = "wss"
	}
	var all sync.WaitGroup
	var once sync.Once
	for range n {
		all.Go(func() {
			pause(ctx, rand.N(4*time.Second)) // not all at once
			for ctx.Err() == nil {
				if err := visit(ctx, scheme+"://"+address+"/echo"); err != nil && ctx.Err() == nil {
					once.Do(func() { slog.Warn("demo client", "err", err) })
					pause(ctx, time.Second)
				}
			}
		})
	}
	all.Wait()
}

// visit is the life of one client, from its handshake to its end.
func visit(ctx context.Context, url string) error {
	// It connects to this very process, so there is nothing to verify.
	c, err := wsconn.Dial(ctx, url, &wsconn.Config{TLS: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	size := 16 + rand.IntN(500)
	if rand.IntN(12) == 0 {
		size = 4<<10 + rand.IntN(28<<10)
	}
	message := make([]byte, size)
	for end := time.Now().Add(5*time.Second + rand.N(55*time.Second)); time.Now().Before(end); {
		if err := exchange(ctx, c, message, 1+rand.IntN(5)); err != nil {
			return err
		}
		if !pause(ctx, think()) {
			return nil
		}
	}
	return leave(c)
}

// exchange sends a message n times and reads the echoes.
func exchange(ctx context.Context, c *wsconn.Conn, message []byte, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range n {
		if err := c.Write(ctx, wsconn.Binary, message); err != nil {
			return err
		}
	}
	for range n {
		if _, _, err := c.Read(ctx); err != nil {
			return err
		}
	}
	return nil
}

// think returns a random pause. On average it is longer and shorter in turn, with a period of 50
// seconds.
func think() time.Duration {
	tide := 1 + .6*math.Sin(2*math.Pi*float64(time.Now().UnixMilli()%50_000)/50_000)
	return time.Duration(rand.ExpFloat64() * tide * float64(300*time.Millisecond))
}

// leave ends the connection like real clients: mostly in order, sometimes without a close frame or
// with a reset.
func leave(c *wsconn.Conn) error {
	switch rand.IntN(10) {
	case 0, 1, 2:
		return c.Underlying().Close()
	case 3:
		nc := c.Underlying()
		if secure, ok := nc.(*tls.Conn); ok {
			nc = secure.NetConn()
		}
		return nc.(*net.TCPConn).SetLinger(0) // visit closes it
	default:
		return c.Close(wsconn.NormalClosure, "bye")
	}
}

// pause waits for d. It returns false if ctx ends meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
