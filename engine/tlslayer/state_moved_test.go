package tlslayer

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestCertificatesOfAMovedConnection: a connection that moved to another loop before its client
// said anything left the certificates of that client in the budget of that loop, for ever.
func TestCertificatesOfAMovedConnection(t *testing.T) {
	long := bulky(t)
	moved := make(chan struct{}, 1)
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 2})
		addr := listen(t, e, Config{StandardRecords: standard, TLS: changed(func(c *tls.Config) {
			c.ClientAuth = tls.RequestClientCert
		})}, func(c *engine.Conn) engine.Protocol {
			err := c.MoveTo(1-c.Loop(), func(c *engine.Conn) engine.Protocol {
				if state, complete := ConnectionState(c); !complete || len(state.PeerCertificates) == 0 {
					t.Errorf("standard %t: %d certificates, complete %t", standard, len(state.PeerCertificates),
						complete)
				}
				moved <- struct{}{}
				return &echoing{conn: c}
			})
			if err != nil {
				t.Error(err)
			}
			return away{}
		})
		nc := dial(t, addr, changed(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &long, nil }
		}))
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		<-moved
		io.WriteString(nc, "hello")
		if _, err := io.ReadFull(nc, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		nc.Close()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			s := must(e.Stats(t.Context()))
			if s.Held == 0 && s.Connections == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("standard %t: %d bytes are held by %d connections", standard, s.Held, s.Connections)
			}
		}
	}
}
