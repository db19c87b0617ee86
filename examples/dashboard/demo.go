package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// load keeps n clients at work until ctx ends. They are plain sockets and goroutines.
func load(ctx context.Context, address string, n int) {
	var all sync.WaitGroup
	var once sync.Once
	for range n {
		all.Go(func() {
			pause(ctx, rand.N(4*time.Second)) // not all at once
			for ctx.Err() == nil {
				if err := visit(ctx, address); err != nil && ctx.Err() == nil {
					once.Do(func() { slog.Warn("demo client", "err", err) })
					pause(ctx, time.Second)
				}
			}
		})
	}
	all.Wait()
}

// visit is the life of one client, from its handshake to its end.
func visit(ctx context.Context, address string) error {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r, err := handshake(c, address)
	if err != nil {
		return err
	}
	size := 16 + rand.IntN(500)
	if rand.IntN(12) == 0 {
		size = 4<<10 + rand.IntN(28<<10)
	}
	payload := make([]byte, size)
	var keys wsproto.Keys
	var out []byte
	for until := time.Now().Add(5*time.Second + rand.N(55*time.Second)); time.Now().Before(until); {
		out = out[:0]
		many := 1 + rand.IntN(5)
		for range many {
			out = wsproto.AppendMasked(out, wsproto.Binary, keys.Next(), payload)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(out); err != nil {
			return err
		}
		if _, err := r.Discard(many * len(wsproto.AppendFrame(nil, wsproto.Binary, payload))); err != nil {
			return err
		}
		if !pause(ctx, think()) {
			return nil
		}
	}
	return leave(c, r, &keys)
}

// think returns a random pause. On average it is longer and shorter in turn, with a period of 50
// seconds.
func think() time.Duration {
	tide := 1 + .6*math.Sin(2*math.Pi*float64(time.Now().UnixMilli()%50_000)/50_000)
	return time.Duration(rand.ExpFloat64() * tide * float64(300*time.Millisecond))
}

func handshake(c net.Conn, address string) (*bufio.Reader, error) {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	// An error shows when reading.
	io.WriteString(c, "GET /echo HTTP/1.1\r\nHost: "+address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	return r, nil
}

// leave ends the connection like real clients: mostly in order, sometimes without a close frame or
// with a reset.
func leave(c net.Conn, r io.Reader, keys *wsproto.Keys) error {
	switch rand.IntN(10) {
	default:
		bye := wsproto.AppendClose(nil, wsproto.NormalClosure, "bye")
		if _, err := c.Write(wsproto.AppendMasked(nil, wsproto.Close, keys.Next(), bye)); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, r)
		return err
	case 0, 1, 2:
		return nil
	case 3:
		return c.(*net.TCPConn).SetLinger(0)
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
