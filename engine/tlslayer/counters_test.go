package tlslayer

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestEngineCountsHandshakes: Stats tells how handshakes end and how many are open, and Inspect
// tells version and suite of a connection.
func TestEngineCountsHandshakes(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	config := testConfig().Clone()
	config.NextProtos = []string{"one"}
	addr := listen(t, e, Config{TLS: config, HandshakeTimeout: 1500 * time.Millisecond, MaxHandshakesPerAddress: 2},
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	until := func(what string, ok func(s engine.Stats) bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for s := must(e.Stats(t.Context())); !ok(s); s = must(e.Stats(t.Context())) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d in progress, %d succeeded, %v failed", what, s.Handshaking, s.Handshakes,
					s.HandshakesFailed)
			}
			time.Sleep(time.Millisecond)
		}
	}
	silent := func() net.Conn {
		c := must(net.Dial("tcp", addr))
		t.Cleanup(func() { c.Close() })
		return c
	}

	gone, stays, busy := silent(), silent(), silent()
	io.Copy(io.Discard, busy)
	busy.Close()
	until("over the limit", func(s engine.Stats) bool {
		return s.HandshakesFailed[engine.CauseRefused] == 1 && s.Handshaking == 2
	})
	gone.(*net.TCPConn).CloseWrite()
	until("the peer is gone", func(s engine.Stats) bool { return s.HandshakesFailed[engine.CausePeer] == 1 })
	io.Copy(io.Discard, stays)
	stays.Close()
	until("timeout", func(s engine.Stats) bool {
		return s.HandshakesFailed[engine.CauseTimeout] == 1 && s.Handshaking == 0
	})
	client := testConfig().Clone()
	client.NextProtos = []string{"another"}
	if _, err := tls.Dial("tcp", addr, client); err == nil {
		t.Error("the protocols agree")
	}
	until("an error", func(s engine.Stats) bool { return s.HandshakesFailed[engine.CauseProtocol] == 1 })

	for _, c := range []struct {
		change func(*tls.Config)
		by     string
	}{{change: nil}, {change: tls12}, {change: cbc, by: ", by crypto/tls"}} {
		nc := dial(t, addr, changed(c.change))
		// Which suite is taken depends on whether the processor has instructions for AES.
		s := nc.ConnectionState()
		want := tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite) + c.by
		stop := make(chan bool)
		go func() {
			defer close(stop)
			for b := make([]byte, 1); ; {
				if _, err := nc.Write(b); err != nil {
					return
				}
				if _, err := io.ReadFull(nc, b); err != nil {
					return
				}
			}
		}()
		found := must(e.Inspect(t.Context(), 50*time.Millisecond, 10))
		layer := ""
		for _, l := range found.Loops {
			for _, conn := range l.Busiest {
				if conn.Remote.String() == nc.LocalAddr().String() {
					layer = conn.Layer
				}
			}
		}
		if layer != want {
			t.Errorf("%q, want %q", layer, want)
		}
		nc.Close()
		<-stop
	}
	until("the end", func(s engine.Stats) bool { return s.Handshakes == 3 && s.Handshaking == 0 })
}
