package main

import (
	"context"
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

const patience = 30 * time.Second

// serve runs a server with two loops until the test ends.
func serve(t *testing.T) (eng *engine.Engine, addr string) {
	t.Helper()
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", newServer().AcceptWebSocket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		eng.Run(context.Background())
		close(done)
	}()
	t.Cleanup(func() {
		eng.Close()
		<-done
	})
	return eng, ln.String()
}

func dial(t *testing.T, ctx context.Context, addr, path string) *wsconn.Conn {
	t.Helper()
	c, err := wsconn.Dial(ctx, "ws://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(wsproto.NormalClosure, "") })
	return c
}

// hear wants one text message.
func hear(t *testing.T, ctx context.Context, c *wsconn.Conn, want string) {
	t.Helper()
	op, got, err := c.Read(ctx)
	if err != nil || op != wsconn.Text || string(got) != want {
		t.Fatalf("opcode %x, %q, %v, want %q", op, got, err, want)
	}
}

func say(t *testing.T, ctx context.Context, c *wsconn.Conn, text string) {
	t.Helper()
	if err := c.Write(ctx, wsconn.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestBroadcast: what a connection at /broadcast sends goes to all that are open, also after most
// have left. Others have their messages echoed.
func TestBroadcast(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	eng, addr := serve(t)
	speaker := dial(t, ctx, addr, "/broadcast")
	all := []*wsconn.Conn{speaker}
	for range 2 * pageSize {
		c := dial(t, ctx, addr, "/")
		say(t, ctx, c, "echo")
		hear(t, ctx, c, "echo") // it has joined
		all = append(all, c)
	}
	say(t, ctx, speaker, "to all")
	for _, c := range all {
		hear(t, ctx, c, "to all")
	}
	var rest []*wsconn.Conn
	for i, c := range all {
		if i%100 == 0 {
			rest = append(rest, c)
		} else {
			c.Close(wsproto.NormalClosure, "")
		}
	}
	for open := -1; open != len(rest); {
		s, err := eng.Stats(ctx)
		if err != nil {
			t.Fatalf("%d connections, %v, want %d", open, err, len(rest))
		}
		open = int(s.Connections)
	}
	say(t, ctx, speaker, "to the rest")
	for _, c := range rest {
		hear(t, ctx, c, "to the rest")
	}
}

// TestAudience: handles of closed connections do not stay.
func TestAudience(t *testing.T) {
	var a audience
	for range 3*pageSize + 1 {
		a.join(websocket.Handle{})
	}
	if got := count(&a); got != 3*pageSize+1 {
		t.Errorf("%d handles, want %d", got, 3*pageSize+1)
	}
	for range 2 * pageSize {
		a.left()
	}
	if got := count(&a); got != 0 || a.stale != 0 {
		t.Errorf("%d handles are left, %d of them stale, want none", got, a.stale)
	}
}

func count(a *audience) (n int) {
	for range a.all {
		n++
	}
	return n
}

// TestFigures reads the figures as the benchmarks do.
func TestFigures(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	eng, addr := serve(t)
	ln, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go serveFigures(eng, ln)
	c := dial(t, ctx, addr, "/")
	say(t, ctx, c, "echo")
	hear(t, ctx, c, "echo")

	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	var f struct {
		Engine, Go map[string]any
	}
	if err := json.NewDecoder(nc).Decode(&f); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"heap_bytes", "heap_in_use_bytes", "total_bytes"} {
		if v, _ := f.Go[name].(float64); v < 100<<10 || v > 1<<30 {
			t.Errorf("%s is %v", name, f.Go[name])
		}
	}
	if f.Engine["connections"] != 1.0 {
		t.Errorf("%v connections, want 1", f.Engine["connections"])
	}
}
