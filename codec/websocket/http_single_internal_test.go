package websocket

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSingleIsAcceptedOrClosed: http.Server.Shutdown closes the listener while the loop is in
// Serve. The connection was served and closed, counted twice as one that has left, or Close met
// that Accept had just taken it, and ended the process.
func TestSingleIsAcceptedOrClosed(t *testing.T) {
	for range 20_000 {
		near, far := net.Pipe()
		var left, accepted bool
		l := &single{c: newHTTP2Conn(near, nil, netip.Prefix{}, http2Turns{}, func() { left = true })}
		var ready atomic.Int32
		together := func() {
			for ready.Add(1); ready.Load() < 2; {
				runtime.Gosched()
			}
		}
		var both sync.WaitGroup
		both.Go(func() {
			together()
			_, err := l.Accept()
			accepted = err == nil
		})
		both.Go(func() {
			together()
			l.Close()
		})
		both.Wait()
		far.Close()
		if left == accepted {
			t.Fatalf("accepted: %v, closed: %v", accepted, left)
		}
	}
}
