package websocket_test

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestConnHasNoHooksOfTheEngine: what only the engine calls is not offered to users.
func TestConnHasNoHooksOfTheEngine(t *testing.T) {
	conn := reflect.TypeFor[*websocket.Conn]()
	for _, hooks := range []reflect.Type{
		reflect.TypeFor[engine.Drainer](), reflect.TypeFor[engine.Flusher](), reflect.TypeFor[engine.Expirer](),
		reflect.TypeFor[engine.Idler](), reflect.TypeFor[engine.Shutdowner](), reflect.TypeFor[engine.PostReceiver](),
		reflect.TypeFor[engine.Bufferer](), reflect.TypeFor[engine.Protocol](),
	} {
		for i := range hooks.NumMethod() {
			if name := hooks.Method(i).Name; methodOf(conn, name) {
				t.Errorf("Conn has %s of %v", name, hooks)
			}
		}
	}
}

func methodOf(t reflect.Type, name string) bool {
	_, ok := t.MethodByName(name)
	return ok
}

// TestRemoteAddrIsKept: it is there in Close, when the kernel has forgotten it.
func TestRemoteAddrIsKept(t *testing.T) {
	ended := make(chan netip.AddrPort, 1)
	_, address := start(t, &websocket.Server{
		Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.SendText(c.RemoteAddr().String()) },
		Close:   func(c *websocket.Conn, _ error) { ended <- c.RemoteAddr() },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	own := c.LocalAddr().String()
	wsutil.WriteClientText(c, nil)
	c.expect(t, ws.OpText, own)
	c.Conn.(*net.TCPConn).SetLinger(0) // a reset
	c.Close()
	if got := receive(t, "Close", ended); got.String() != own {
		t.Errorf("%v in Close, want %v", got, own)
	}
}

func TestRemoteAddrOfAClient(t *testing.T) {
	eng, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	o := open(t, &websocket.Client{}, eng, "ws://"+address)
	if o.err != nil || o.c.RemoteAddr().String() != address {
		t.Errorf("%v, %v; want %s", o.c.RemoteAddr(), o.err, address)
	}
}

func TestConnTimerLoopAndPressure(t *testing.T) {
	fired := make(chan int, 1)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		c.AfterFunc(0, func() { fired <- c.Loop() })
		if c.Loop() != c.Handle().Loop() || c.Loop() != c.EngineConn().Loop() || c.Pressure() != engine.Sent {
			t.Errorf("loop %d, handle's %d, pressure %v", c.Loop(), c.Handle().Loop(), c.Pressure())
		}
	}}, engine.Config{Loops: 2})
	dial(t, address)
	receive(t, "timer", fired)
	if n := (websocket.Handle{}).Loop(); n != -1 {
		t.Errorf("loop %d of the zero Handle", n)
	}
}

func TestContextEndsWithTheConnection(t *testing.T) {
	contexts := make(chan context.Context, 1)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) { contexts <- c.Context() }},
		engine.Config{Loops: 1})
	c := dial(t, address)
	ctx := receive(t, "context", contexts)
	derived, cancel := context.WithCancel(ctx)
	cancel()
	other := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() { t.Error("a function that was stopped is called") })
	context.AfterFunc(ctx, func() { close(other) })
	if ctx.Err() != nil || derived.Err() == nil || !stopped() || stopped() {
		t.Fatal("ended too early, or not stopped once")
	}
	c.Close()
	receive(t, "end", ctx.Done())
	receive(t, "function", other)
}
