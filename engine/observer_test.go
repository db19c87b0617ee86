package engine_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestObserverHearsOfBothEnds: a gauge of open connections, which counts up in Opened and down in
// Closed, went wrong with each Protocol whose Closed panicked, and with each accept function that
// panicked behind SetProtocol.
func TestObserverHearsOfBothEnds(t *testing.T) {
	last := errors.New("the last reason")
	for _, test := range []struct {
		name   string
		accept func(*engine.Conn) engine.Protocol
		hears  int
	}{
		{name: "Closed panics", hears: 1, accept: func(c *engine.Conn) engine.Protocol {
			c.CloseWith(last)
			return &proto{closed: func(error) { panic("boom") }}
		}},
		{name: "Goexit in Closed", hears: 1, accept: func(c *engine.Conn) engine.Protocol {
			c.CloseWith(last)
			return &proto{closed: func(error) { runtime.Goexit() }}
		}},
		{name: "accept panics", accept: func(*engine.Conn) engine.Protocol { panic("boom") }},
		{name: "accept panics behind SetProtocol", accept: func(c *engine.Conn) engine.Protocol {
			c.SetProtocol(echoOn(c))
			panic("boom")
		}},
		{name: "accept refuses", accept: nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			open, opened := 0, 0
			var reason error
			s := serve(t, engine.Config{Loops: 1, Observer: engine.Observer{
				Opened: func(*engine.Conn) {
					mu.Lock()
					defer mu.Unlock()
					open++
					opened++
				},
				Closed: func(_ *engine.Conn, err error) {
					mu.Lock()
					defer mu.Unlock()
					open--
					reason = err
				},
			}}, test.accept)
			if c, err := net.Dial("tcp", s.ln.String()); err == nil { // or it was reset at once
				defer c.Close()
				c.(*net.TCPConn).CloseWrite()
				io.ReadAll(c)
			}
			eventually(t, "end", func() bool {
				st := stats(t, s.Engine)
				return st.Accepted == 1 && st.Connections == 0
			})
			mu.Lock()
			defer mu.Unlock()
			if open != 0 || opened != test.hears {
				t.Errorf("the Observer has heard of %d connections, and %d are open", opened, open)
			}
			if test.hears > 0 && reason != last {
				t.Errorf("the Observer has heard of the reason %v", reason)
			}
		})
	}
}
