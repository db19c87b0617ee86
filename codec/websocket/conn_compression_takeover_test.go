package websocket_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestBroadcastReachesEveryKindOfConnection: plain, compressed, with and without takeover, with
// small windows; and what is sent to one of them afterwards refers to the right bytes.
func TestBroadcastReachesEveryKindOfConnection(t *testing.T) {
	for _, slow := range []engine.SlowPolicy{engine.SlowWait, engine.SlowDropOldest} {
		opened := make(chan websocket.Handle, 10)
		_, address := start(t, &websocket.Server{
			Message:     echo,
			Open:        func(c *websocket.Conn) { opened <- c.Handle() },
			Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
		}, engine.Config{Loops: 2})
		var clients []*deflatePeer
		var to []websocket.Handle
		for offer, d := range map[string]wsproto.Deflate{
			"none":               {ServerNoContextTakeover: true, ClientNoContextTakeover: true},
			"permessage-deflate": {},
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover": {
				ServerNoContextTakeover: true, ClientNoContextTakeover: true},
			"permessage-deflate; server_max_window_bits=9": {ServerMaxWindowBits: 9},
		} {
			clients = append(clients, dialDeflate(t, address, offer, d))
			to = append(to, receive(t, "connection", opened))
		}
		for round := range 3 {
			text := strings.Repeat(fmt.Sprintf("broadcast %d to all ", round), 100)
			websocket.Broadcast(websocket.Prepare(websocket.Text, []byte(text)), slices.Values(to), slow)
			for _, c := range clients {
				c.expect(t, text)
				if c.agreed == "" {
					continue
				}
				c.send(t, wsproto.Text, text+text)
				c.expect(t, text+text)
			}
		}
	}
}

// TestWindowsAreGivenBack: the budget is free again when connections have ended, and their windows
// are gone.
func TestWindowsAreGivenBack(t *testing.T) {
	var closed atomic.Int32
	s := &websocket.Server{Message: echo, Close: func(*websocket.Conn, error) { closed.Add(1) },
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 2 << 15}}
	_, address := start(t, s, engine.Config{Loops: 1})
	for round := range 5 {
		first := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
		if strings.Contains(first.agreed, "takeover") {
			t.Fatalf("round %d: agreed on %q although the budget was free", round, first.agreed)
		}
		second := dialDeflate(t, address, "permessage-deflate",
			wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true})
		if !strings.Contains(second.agreed, "server_no_context_takeover; client_no_context_takeover") {
			t.Fatalf("round %d: agreed on %q although the budget was used up", round, second.agreed)
		}
		first.Close()
		second.Close()
		for end := time.Now().Add(patience); closed.Load() != int32(2*round+2); {
			if time.Now().After(end) {
				t.Fatal("the connections do not end")
			}
			runtime.Gosched()
		}
	}
}

// TestIdleConnectionDropsItsWindow, that of what it has sent, and goes on.
func TestIdleConnectionDropsItsWindow(t *testing.T) {
	opened := make(chan websocket.Handle, 1)
	_, address := start(t, &websocket.Server{Message: echo, Open: func(c *websocket.Conn) { opened <- c.Handle() },
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true}}, engine.Config{Loops: 1})
	c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	m := deflateMessages[0]
	var sizes []int
	for range 2 {
		c.send(t, wsproto.Text, m)
		c.expect(t, m)
		sizes = append(sizes, c.size)
	}
	// as the engine does when the time has come
	receive(t, "connection", opened).Post(func(c *websocket.Conn) { c.EngineConn().Protocol().(engine.Idler).Idle() })
	f, err := readFrame(c.r)
	if err != nil || f.Header.OpCode != ws.OpPing {
		t.Fatalf("want a ping of the idle connection, got %v, %v", f.Header, err)
	}
	c.Write(wsproto.AppendMasked(nil, wsproto.Pong, 7, nil))
	c.send(t, wsproto.Text, m)
	c.expect(t, m)
	if sizes[1] >= sizes[0] || c.size != sizes[0] {
		t.Errorf("the message took %d bytes, %d with the window, %d after an idle time", sizes[0], sizes[1], c.size)
	}
}

// TestWindowsOfWhatIsDialed: connections that are opened at the same time stay in MaxWindows
// together, and those that are not opened give back what was kept for them.
func TestWindowsOfWhatIsDialed(t *testing.T) {
	const window = 64 << 10 // of a connection
	_, address := start(t, &websocket.Server{Compression: &websocket.Compression{ServerTakeover: true,
		ClientTakeover: true}}, engine.Config{Loops: 1})
	eng := running(t, engine.Config{Loops: 2})
	cl := &websocket.Client{
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 2 * window}}
	closed, stop := net.Listen("tcp", "127.0.0.1:0")
	if stop != nil {
		t.Fatal(stop)
	}
	closed.Close()
	for range 2 {
		results := make(chan opened, 16)
		for i := range cap(results) {
			to := address
			if i%4 == 0 {
				to = closed.Addr().String()
			}
			cl.Dial(context.Background(), eng, "ws://"+to, func(c *websocket.Conn, err error) {
				results <- opened{c, err}
			})
		}
		var all []*websocket.Conn
		for range cap(results) {
			if r := receive(t, "result of Dial", results); r.err == nil {
				all = append(all, r.c)
			}
		}
		if n := countersOf(t, eng).Held; len(all) != 12 || n > 2*window || n == 0 {
			t.Fatalf("%d connections have windows of %d bytes, the limit is %d", len(all), n, 2*window)
		}
		for _, c := range all {
			c.Handle().Close(websocket.NormalClosure, "")
		}
		await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 })
	}
}
