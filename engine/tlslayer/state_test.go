package tlslayer

import (
	"crypto/tls"
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestConnectionStateIsKnownToBePartial: in a callback the state had no certificates, and looked as
// if the peer had sent none.
func TestConnectionStateIsKnownToBePartial(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	for _, test := range []struct {
		name   string
		config Config
		later  bool // it is complete in Feed
	}{
		{name: "records of ours"},
		{name: "records of crypto/tls", config: Config{StandardRecords: true}, later: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.TLS = changed(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
			check := func(c *engine.Conn, where string, want bool) {
				s, complete := ConnectionState(c)
				if complete != want || want && len(s.PeerCertificates) != 1 {
					t.Errorf("%s: complete %t, %d certificates", where, complete, len(s.PeerCertificates))
				}
				if !s.HandshakeComplete || s.Version != tls.VersionTLS13 || s.CipherSuite == 0 {
					t.Errorf("%s: %+v", where, s)
				}
			}
			addr := listen(t, e, test.config, func(c *engine.Conn) engine.Protocol {
				check(c, "accept", true)
				return feeds(func(b []byte) (int, error) {
					check(c, "Feed", test.later)
					c.Write(b)
					return len(b), nil
				})
			})
			c := dial(t, addr, testConfig())
			io.WriteString(c, "x")
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		})
	}
}
