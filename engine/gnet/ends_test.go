package gnet_test

import (
	"context"
	"net"
	"testing"

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
