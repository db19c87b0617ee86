package gnet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	upstream "github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/gnet"
)

// TestPanicInOnCloseOfEventLoopClose: the connection stayed open for ever, and was not counted any
// more, since the function of Execute that has panicked is not the connection's.
func TestPanicInOnCloseOfEventLoopClose(t *testing.T) {
	t.Parallel()
	s := frameworks[1].serve(t, &handler{
		traffic: func(c gnet.Conn) gnet.Action {
			loop := c.EventLoop()
			loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error { return loop.Close(c) }))
			return gnet.None
		},
		closed: func(gnet.Conn, error) gnet.Action { panic("by OnClose") },
	}, []string{"tcp://127.0.0.1:0"})
	p := s.dial()
	p.send("!")
	p.expectEnd("")
}

// TestClientStopOnALoop: Stop waited for the loop that it was called on.
func TestClientStopOnALoop(t *testing.T) {
	t.Parallel()
	s := frameworks[1].serve(t, &handler{traffic: echo}, []string{"tcp://127.0.0.1:0"})
	stopped := make(chan error, 1)
	var cl *gnet.Client
	cl, err := gnet.NewClient(gnet.Adapt(&handler{traffic: func(gnet.Conn) gnet.Action {
		stopped <- cl.Stop()
		return gnet.None
	}}))
	if err != nil {
		t.Fatal(err)
	}
	cl.Start()
	c, err := cl.Dial("tcp", s.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.AsyncWrite([]byte("!"), nil)
	if err, _ := receive(t, stopped); !errors.Is(err, engine.ErrOnLoop) {
		t.Errorf("Stop returned %v", err)
	}
	if err := cl.Stop(); err != nil {
		t.Errorf("the engine has ended with %v", err)
	}
}

// TestClientDialOnALoop: it says so, and does not block the loop with an attempt at the address.
func TestClientDialOnALoop(t *testing.T) {
	t.Parallel()
	s := frameworks[1].serve(t, &handler{traffic: echo}, []string{"tcp://127.0.0.1:0"})
	dialed := make(chan error, 1)
	var cl *gnet.Client
	cl, err := gnet.NewClient(gnet.Adapt(&handler{traffic: func(gnet.Conn) gnet.Action {
		_, err := cl.Dial("unix", "/nothing/is/here")
		dialed <- err
		return gnet.None
	}}))
	if err != nil {
		t.Fatal(err)
	}
	cl.Start()
	c, err := cl.Dial("tcp", s.addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.AsyncWrite([]byte("!"), nil)
	if err, _ := receive(t, dialed); !errors.Is(err, engine.ErrOnLoop) {
		t.Errorf("Dial returned %v", err)
	}
	cl.Stop()
}

// TestPanicInOnTickAndOnShutdown: it ended the process.
func TestPanicInOnTickAndOnShutdown(t *testing.T) {
	t.Parallel()
	ticks := make(chan int, 100)
	n := 0
	h := &panicking{handler{traffic: echo, tick: func() (time.Duration, gnet.Action) {
		n++
		ticks <- n
		switch n {
		case 2:
			panic("by OnTick")
		case 3:
			panic(nested{})
		}
		return time.Millisecond, gnet.None
	}}}
	s := frameworks[1].serve(t, h, []string{"tcp://127.0.0.1:0"}, gnet.WithTicker(true), gnet.WithLogger(formatting{}))
	for n := 0; n < 5; {
		n, _ = receive(t, ticks)
	}
	p := s.dial()
	p.send("still here")
	p.expect("still here")
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop returned %v", err)
	}
}

// nested is an error whose text panics, and so does the value it panics with: package fmt gives up.
type nested struct{}

func (n nested) Error() string { panic(n) }

// formatting is a Logger that makes the text of a message.
type formatting struct{ quiet }

func (formatting) Errorf(format string, args ...any) { _ = fmt.Sprintf(format, args...) }

// panicking is a handler whose OnShutdown panics.
type panicking struct{ handler }

func (*panicking) OnShutdown(upstream.Engine) { panic("by OnShutdown") }
