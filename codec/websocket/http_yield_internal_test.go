package websocket

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// endless is a connection whose peer has always sent more, and takes everything.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error)  { return len(p), nil }
func (endless) Write(p []byte) (int, error) { return len(p), nil }

// TestConnectionsOfHandlersLetOthersRun: a connection that a Handler has taken over, as package
// wsconn does, kept its processor until the runtime preempted it, if its peer had always sent more:
// with 200 of them a loop had its turn after 1.3 s. So did responses that the kernel takes, for 0.3
// s.
func TestConnectionsOfHandlersLetOthersRun(t *testing.T) {
	const calls = 1000
	p := make([]byte, 100)
	hijacked := &httpConn{Conn: endless{}, hijacked: true}
	http2 := newHTTP2Conn(endless{}, nil, netip.Prefix{}, http2Turns{}, nil)
	for name, call := range map[string]func() (int, error){
		"read":           func() (int, error) { return hijacked.Read(p) },
		"write":          func() (int, error) { return hijacked.Write(p) },
		"read (HTTP/2)":  func() (int, error) { return http2.Read(p) },
		"write (HTTP/2)": func() (int, error) { return http2.Write(p) },
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			var ran atomic.Int64
			var over atomic.Bool
			var other sync.WaitGroup
			other.Go(func() {
				for ; !over.Load(); ran.Add(1) {
					runtime.Gosched()
				}
			})
			for range calls {
				if _, err := call(); err != nil {
					t.Error(err)
				}
			}
			n := ran.Load()
			over.Store(true)
			other.Wait()
			if n < calls/4 {
				t.Errorf("another goroutine has run %d times in %d calls", n, calls)
			}
		})
	}
}
