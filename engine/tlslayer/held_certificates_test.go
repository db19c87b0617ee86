package tlslayer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/url"
	"testing"
)

// TestCertificatesOfHandshakesCountAsHeld: a client that stopped behind its certificates held 70
// times what it had sent, and MaxHandshakeBytes counted what it had sent.
func TestCertificatesOfHandshakesCountAsHeld(t *testing.T) {
	own := testConfig().Certificates[0].PrivateKey.(*ecdsa.PrivateKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	for range 20_000 {
		template.URIs = append(template.URIs, new(url.URL))
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &own.PublicKey, own))
	const behind = 100 // bytes of the client's last flight, behind its certificates
	for _, test := range []struct {
		name  string
		limit int
		want  error
	}{
		{name: "room"},
		{name: "no room", limit: 1 << 20, want: ErrBusy},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newLayer(Config{MaxHandshakeBytes: test.limit, TLS: changed(func(c *tls.Config) {
				c.ClientAuth = tls.RequestClientCert
			})})
			client := newLayer(Config{TLS: changed(func(c *tls.Config) {
				c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: own}}
			})})
			p := newPeers(server, client)
			var last []byte // the flight with the certificates
			waitFor(t, func() bool {
				p.client.Feed(p.server.Output(nil))
				if b := p.client.Output(nil); len(b) < len(der) && last == nil {
					p.server.Feed(b)
				} else {
					last = append(last, b...)
				}
				done, err := p.client.Done()
				return done && err == nil && len(last) > len(der)
			})
			for rest := last[:len(last)-behind]; len(rest) > 0; {
				n, err := p.server.Feed(rest)
				if rest = rest[n:]; err != nil {
					break
				}
			}
			waitFor(t, func() bool {
				_, err := p.server.Done()
				return server.held.bytes() > 2<<20 || err != nil
			})
			if _, err := p.server.Done(); !errors.Is(err, test.want) {
				t.Errorf("the server ends with %v, want %v", err, test.want)
			}
			p.server.Cancel(io.EOF)
			waitFor(t, func() bool { return server.held.bytes() == 0 && idle(server) })
		})
	}
}
