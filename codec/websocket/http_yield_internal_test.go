package websocket

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// endless is a connection whose peer has always sent more.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestHijackedConnectionsLetOthersRun: a connection that a Handler has taken over, as package wsconn
// does, kept its processor until the runtime preempted it, if its peer had always sent more.
func TestHijackedConnectionsLetOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const reads = 1000
	var ran atomic.Int64
	var over atomic.Bool
	var other sync.WaitGroup
	other.Go(func() {
		for ; !over.Load(); ran.Add(1) {
			runtime.Gosched()
		}
	})
	c := &httpConn{Conn: endless{}, hijacked: true}
	for range reads {
		if _, err := c.Read(make([]byte, 100)); err != nil {
			t.Error(err)
		}
	}
	n := ran.Load()
	over.Store(true)
	other.Wait()
	if n < reads/4 {
		t.Errorf("another goroutine has run %d times in %d reads", n, reads)
	}
}
