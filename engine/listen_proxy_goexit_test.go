package engine_test

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestGoexitInOpenedKeepsWhatIsBehindTheHeader: what had come together with the PROXY header was
// never fed, and the connection went on without it.
func TestGoexitInOpenedKeepsWhatIsBehindTheHeader(t *testing.T) {
	s := listenProxy(t, engine.Config{Loops: 1,
		Observer: engine.Observer{Opened: func(*engine.Conn) { runtime.Goexit() }}},
		trusting(engine.ProxyConfig{}), func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	c, err := net.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, header4("192.0.2.1", 1)+"hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); string(b) != "hello" {
		t.Fatalf("got %q, %v", b, err)
	}
	ask(t, c, "alive")
}
