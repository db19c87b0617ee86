package gnet_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/gnet"
)

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

// TestResetIsSystemError: after a reset OnClose gets the error of the system call, as on gnet.
func TestResetIsSystemError(t *testing.T) {
	for _, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			reasons := make(chan error, 1)
			s := f.serve(t, &handler{
				traffic: func(c gnet.Conn) gnet.Action { b, _ := c.Next(-1); c.Write(b); return gnet.None },
				closed:  func(_ gnet.Conn, err error) gnet.Action { reasons <- err; return gnet.None },
			}, []string{"tcp://127.0.0.1:0"})
			p := s.dial()
			p.send("x")
			if _, err := p.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			p.Conn.(*net.TCPConn).SetLinger(0)
			p.Close()
			var call *os.SyscallError
			if err, _ := receive(t, reasons); !errors.As(err, &call) || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("OnClose gets %v", err)
			}
		})
	}
}

// stopper stops its engine in OnBoot, and does not wait for the end.
type stopper struct {
	gnet.BuiltinEventEngine
}

func (*stopper) OnBoot(e gnet.Engine) gnet.Action {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Stop(ctx)
	return gnet.None
}

// TestStopBeforeTheLoopsRun: Run returned engine.ErrClosed if Stop was faster than its loops.
func TestStopBeforeTheLoopsRun(t *testing.T) {
	t.Parallel()
	for range 20 {
		if err := gnet.Run(&stopper{}, "tcp://127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
}

// quitter ends goroutines in callbacks that no loop calls.
type quitter struct {
	gnet.BuiltinEventEngine
	boot     bool // OnBoot panics
	ticks    atomic.Int64
	shutdown atomic.Bool
}

func (q *quitter) OnBoot(gnet.Engine) gnet.Action {
	if q.boot {
		panic("OnBoot")
	}
	return gnet.None
}

func (q *quitter) OnTick() (time.Duration, gnet.Action) {
	if q.ticks.Add(1) == 2 {
		return 0, gnet.Shutdown
	}
	runtime.Goexit()
	return 0, gnet.None
}

func (q *quitter) OnShutdown(gnet.Engine) {
	q.shutdown.Store(true)
	runtime.Goexit()
}

// TestGoexitInCallbacksOfNoLoop: behind a runtime.Goexit in OnTick there were no ticks, and behind
// one in OnShutdown the engine ran on, and Stop of a Client waited for ever.
func TestGoexitInCallbacksOfNoLoop(t *testing.T) {
	t.Parallel()
	q, ran := &quitter{}, make(chan error, 1)
	go func() {
		err := errors.New("the goroutine of Run has ended")
		defer func() { ran <- err }()
		err = gnet.Run(q, "tcp://127.0.0.1:0", gnet.WithTicker(true), gnet.WithLogger(quiet{}))
	}()
	if err, _ := receive(t, ran); err != nil || !q.shutdown.Load() {
		t.Errorf("Run: %v, OnShutdown was called: %v", err, q.shutdown.Load())
	}
	cl, err := gnet.NewClient(&quitter{}, gnet.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	cl.Start()
	stopped := make(chan error, 1)
	go func() { stopped <- cl.Stop() }()
	if err, _ := receive(t, stopped); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// TestPanicInOnBoot: it goes to the caller of Run, and leaves no listener behind.
func TestPanicInOnBoot(t *testing.T) {
	t.Parallel()
	address := "unix://" + socketPath(t)
	for range 2 { // the second would find the first one's socket
		func() {
			defer func() {
				if v := recover(); v != "OnBoot" {
					t.Errorf("recovered %v", v)
				}
			}()
			t.Errorf("Run: %v", gnet.Run(&quitter{boot: true}, address, gnet.WithLogger(quiet{})))
		}()
	}
}

// TestCallbacksBehindAPanic: a callback of Wake or CloseWithCallback was never called if the
// handler's call before it panicked, or the callback before it.
func TestCallbacksBehindAPanic(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		left int // bytes that OnTraffic leaves
		do   func(c gnet.Conn, told gnet.AsyncCallback)
	}{
		{"Wake", 0, func(c gnet.Conn, told gnet.AsyncCallback) { c.Wake(told) }},
		{"Wake with input", 1, func(c gnet.Conn, told gnet.AsyncCallback) { c.Wake(told) }},
		{"Wake behind another", 1, func(c gnet.Conn, told gnet.AsyncCallback) {
			c.Wake(func(gnet.Conn, error) error { panic("a callback") })
			c.Wake(told)
		}},
		{"CloseWithCallback", 0, func(c gnet.Conn, told gnet.AsyncCallback) { c.CloseWithCallback(told) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			called, calls := make(chan bool, 10), 0
			s := frameworks[1].serve(t, &handler{
				traffic: func(c gnet.Conn) gnet.Action {
					if calls++; calls > 1 {
						panic("OnTraffic")
					}
					c.Discard(c.InboundBuffered() - test.left)
					test.do(c, func(gnet.Conn, error) error {
						called <- true
						return nil
					})
					return gnet.None
				},
				closed: func(gnet.Conn, error) gnet.Action { panic("OnClose") },
			}, []string{"tcp://127.0.0.1:0"})
			s.dial().send("xx")
			receive(t, called)
		})
	}
}

// TestStopBehindOnBootThatPanics: a second Stop of such a Client waited for ever.
func TestStopBehindOnBootThatPanics(t *testing.T) {
	t.Parallel()
	cl, err := gnet.NewClient(&quitter{boot: true}, gnet.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		cl.Start()
	}()
	stopped := make(chan error, 2)
	go func() {
		for range 2 {
			stopped <- cl.Stop()
		}
	}()
	for range 2 {
		if err, _ := receive(t, stopped); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
}
