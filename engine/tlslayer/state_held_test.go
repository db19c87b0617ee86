package tlslayer

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// bulky returns a certificate with a chain that is as long as a client may send, about. What is
// parsed of it takes ten times as much memory.
func bulky(t *testing.T) tls.Certificate {
	t.Helper()
	own := testConfig().Certificates[0]
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bulky"}}
	for i := range 1000 {
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, i}, Value: []byte{5, 0}})
	}
	key := own.PrivateKey.(*ecdsa.PrivateKey)
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	for range 18 {
		own.Certificate = append(own.Certificate[:len(own.Certificate):len(own.Certificate)], der)
	}
	return own
}

// TestCertificatesOfClientsAreInTheBudget: a client whose certificate is asked for could send 256
// KiB of them, of which MiB were kept until it said something, outside of Config.MaxBuffered.
func TestCertificatesOfClientsAreInTheBudget(t *testing.T) {
	const least = 1 << 20
	long := bulky(t)
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		addr := listen(t, e, Config{StandardRecords: standard, TLS: changed(func(c *tls.Config) {
			c.ClientAuth = tls.RequestClientCert
		})}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
		held := func(what string, want func(int) bool) {
			t.Helper()
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				s := must(e.Stats(t.Context()))
				if want(s.Held) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("standard %t: %d bytes are held, want %s", standard, s.Held, what)
				}
			}
		}
		for _, cert := range []struct {
			of    tls.Certificate
			least int
		}{{testConfig().Certificates[0], 0}, {long, least}} {
			c := changed(func(c *tls.Config) {
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &cert.of, nil
				}
			})
			nc := dial(t, addr, c)
			if err := nc.Handshake(); err != nil {
				t.Fatal(err)
			}
			if cert.least > 0 {
				held("the certificates", func(n int) bool { return n >= least })
			}
			io.WriteString(nc, "hello")
			if _, err := io.ReadFull(nc, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			if !standard || cert.least == 0 {
				held("nothing", func(n int) bool { return n == 0 })
			}
			nc.Close()
			held("nothing in the end", func(n int) bool { return n == 0 })
		}
	}
}
