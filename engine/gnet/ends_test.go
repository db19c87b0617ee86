package gnet_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/gnet"
)

// TestClientStopOnLoop: Stop in a callback does not wait, as Engine.Stop does not. It waited for its
// own loop, until the engine gave that up after seconds.
func TestClientStopOnLoop(t *testing.T) {
	t.Parallel()
	cl, err := gnet.NewClient(gnet.Adapt(&handler{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Start(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := cl.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 1)
	c.EventLoop().Execute(t.Context(), gnet.RunnableFunc(func(context.Context) error {
		results <- cl.Stop()
		return nil
	}))
	if err, _ := receive(t, results); !errors.Is(err, engine.ErrOnLoop) {
		t.Errorf("Stop on a loop: %v", err)
	}
	if err := cl.Stop(); err != nil { // which waits for the end
		t.Error(err)
	}
}

// TestWakeBeforeOnCloseThatPanics: the callback of a Wake that waits for the peer was never called
// if the connection ended before, and OnClose panicked.
func TestWakeBeforeOnCloseThatPanics(t *testing.T) {
	t.Parallel()
	woken, waiting := make(chan bool, 1), make(chan bool, 1)
	s := frameworks[1].serve(t, &handler{
		traffic: func(c gnet.Conn) gnet.Action { // it leaves its input
			select {
			case waiting <- true:
			default:
				return gnet.None
			}
			c.Write(make([]byte, 32<<20)) // more than the kernel takes
			c.Wake(func(gnet.Conn, error) error {
				woken <- true
				return nil
			})
			return gnet.None
		},
		closed: func(gnet.Conn, error) gnet.Action { panic("OnClose") },
	}, []string{"tcp://127.0.0.1:0"})
	p := s.dial()
	p.send("x")
	receive(t, waiting)
	if _, err := p.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
	receive(t, woken)
}
