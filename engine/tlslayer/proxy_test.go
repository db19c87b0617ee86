package tlslayer

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// listenProxy serves TLS behind a proxy.
func listenProxy(t *testing.T, e *engine.Engine, c Config, accept func(*engine.Conn) engine.Protocol) (string, *Layer) {
	t.Helper()
	l := must(New(c))
	lc := engine.ListenConfig{Layer: l.Server(), Proxy: &engine.ProxyConfig{
		Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	return must(lc.Listen(e, "tcp", "127.0.0.1:0", accept)).Addr().String(), l
}

// dialProxy is a client at an address behind a proxy.
func dialProxy(t *testing.T, addr, client string) net.Conn {
	t.Helper()
	nc := must(net.Dial("tcp", addr))
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "PROXY TCP4 %s 203.0.113.5 4000 443\r\n", client)
	return nc
}

// TestProxyHeaderBeforeTheHandshake: the header is in the clear, and TLS follows. The net.Conn of
// Release has the client's address as well.
func TestProxyHeaderBeforeTheHandshake(t *testing.T) {
	e := run(t, engine.Config{Loops: 2})
	released := make(chan string, 1)
	addr, _ := listenProxy(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		fmt.Fprint(writes{c}, c.RemoteAddr(), "\n")
		return feeds(func(src []byte) (int, error) {
			return len(src), c.Release(func(nc net.Conn, _, unsent []byte, err error) {
				if err != nil {
					released <- err.Error()
					return
				}
				released <- nc.RemoteAddr().String()
				nc.Close()
			})
		})
	})
	c := tls.Client(dialProxy(t, addr, "192.0.2.7"), changed(nil))
	line := make([]byte, len("192.0.2.7:4000\n"))
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "192.0.2.7:4000\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	io.WriteString(c, "release me")
	if got := <-released; got != "192.0.2.7:4000" {
		t.Errorf("the net.Conn has %s", got)
	}
}

// writes is a Conn as an io.Writer.
type writes struct{ c *engine.Conn }

func (w writes) Write(b []byte) (int, error) { return w.c.Write(b) }

// feeds is a Protocol that is its Feed.
type feeds func([]byte) (int, error)

func (f feeds) Feed(src []byte) (int, error) { return f(src) }
func (feeds) Closed(error)                   {}

// TestProxyHandshakesPerAddress: clients behind one proxy have a share each.
func TestProxyHandshakesPerAddress(t *testing.T) {
	e := run(t, engine.Config{Loops: 2})
	addr, l := listenProxy(t, e, Config{TLS: testConfig(), MaxHandshakesPerAddress: 2, HandshakeTimeout: time.Hour},
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	for i, client := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"} {
		dialProxy(t, addr, client)
		for end := time.Now().Add(10 * time.Second); l.Stats().Open != uint64(i+1); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("handshake %d does not begin: %+v", i, l.Stats())
			}
		}
	}
	if n, err := dialProxy(t, addr, "192.0.2.1").Read(make([]byte, 1)); err == nil {
		t.Errorf("a third handshake of a client goes on: %d bytes", n)
	}
	if l.Stats().Open != 4 {
		t.Errorf("%+v", l.Stats())
	}
}
