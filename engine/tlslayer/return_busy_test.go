package tlslayer

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAdoptOfAConnectionInUse: Adopt waited for a Read or Write in progress, and so for the peer.
// net/http closes a connection that a Handler uses, and held a lock of its server's meanwhile.
func TestAdoptOfAConnectionInUse(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	released := make(chan net.Conn, 1)
	addr := listen(t, e, Config{TLS: testConfig()},
		func(c *engine.Conn) engine.Protocol { return &leaving{c, released} })
	accept := func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }
	for _, c := range []struct {
		name string
		use  func(*netConn)
		free func(*netConn) bool
	}{
		{
			name: "Read",
			use:  func(nc *netConn) { nc.Read(make([]byte, 1)) },
			free: func(nc *netConn) bool { return tryLock(&nc.reading) },
		},
		{
			name: "Write",
			// more than the kernel takes
			use:  func(nc *netConn) { nc.Write(make([]byte, 64<<20)) },
			free: func(nc *netConn) bool { return tryLock(&nc.writing) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer := dial(t, addr, testConfig())
			peer.Write([]byte("x"))
			nc := (<-released).(*netConn)
			ended := make(chan bool)
			go func() {
				c.use(nc)
				close(ended)
			}()
			waitFor(t, func() bool { return !c.free(nc) })
			adopted := make(chan error, 1)
			go func() { adopted <- e.Adopt(nc, nil, accept) }()
			select {
			case err := <-adopted:
				if err == nil {
					t.Error("it was adopted")
				}
			case <-time.After(10 * time.Second):
				t.Error("Adopt waits for the peer")
			}
			nc.Close()
			<-ended
		})
	}
}

// tryLock reports whether nobody holds mu.
func tryLock(mu *sync.Mutex) bool {
	if !mu.TryLock() {
		return false
	}
	mu.Unlock()
	return true
}
