package gnet_test

import (
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
