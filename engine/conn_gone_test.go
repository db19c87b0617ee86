package engine_test

import (
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// halfGone goes on after the peer's FIN, and for ever.
type halfGone struct {
	proto
	heard chan<- bool
}

func (h *halfGone) ReadClosed() { h.heard <- true }

// TestResetOfAConnectionThatIsNotReadFromIsNoticed: after the peer's FIN, or while reading is
// paused. Nobody was told, and the connection stayed for ever.
func TestResetOfAConnectionThatIsNotReadFromIsNoticed(t *testing.T) {
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }
	for _, test := range []struct {
		name, network string
		pause         bool
		before        func(net.Conn)
		end           func(net.Conn)
	}{
		{name: "after its FIN", network: "tcp", before: func(c net.Conn) { c.(*net.TCPConn).CloseWrite() }, end: reset},
		{name: "unix", network: "unix", before: func(c net.Conn) { c.(*net.UnixConn).CloseWrite() }},
		{name: "unix, at once", network: "unix"},
		{name: "paused", network: "tcp", pause: true, end: reset},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.network == "unix" && runtime.GOOS == "darwin" {
				t.Skip("poll(2) does not tell of a hang-up that is not asked for")
			}
			reasons, heard := make(chan error, 1), make(chan bool, 1)
			s := serve(t, engine.Config{Loops: 1}, turnAway)
			address := "127.0.0.1:0"
			if test.network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			ln, err := s.Listen(test.network, address, func(c *engine.Conn) engine.Protocol {
				if test.pause {
					c.PauseRead()
					c.AfterFunc(0, func() { heard <- true }) // it is not read from any more
				}
				return &halfGone{proto{feed: func(b []byte) (int, error) { return len(b), nil },
					closed: func(err error) { reasons <- err }}, heard}
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial(test.network, ln.String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if test.before != nil {
				test.before(c)
			}
			if test.before != nil || test.pause {
				receive(t, "half of the end", heard)
			}
			if test.end != nil {
				test.end(c)
			}
			c.Close()
			if err := receive(t, "reason", reasons); !errors.Is(err, engine.ErrReset) {
				t.Errorf("reason %v, want ErrReset", err)
			}
		})
	}
}
