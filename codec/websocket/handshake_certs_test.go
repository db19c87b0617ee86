package websocket_test

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestCertificatesOfAHandshakeAreInTheBudget: what a client had sent as its certificates, up to 256
// KiB, was kept as MiB as long as its handshake took, outside of Config.MaxBuffered. What they
// count for does not stay where the connection leaves.
func TestCertificatesOfAHandshakeAreInTheBudget(t *testing.T) {
	const least = 1 << 20
	deferred := make(chan *websocket.Deferred, 1)
	server := startTLS(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) { deferred <- h.Defer() },
		Handler:   http.NotFoundHandler(),
	}, engine.ListenConfig{})
	own := server.client.Certificates[0]
	signer := own.PrivateKey.(crypto.Signer)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bulky"}}
	for i := range 1000 {
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, i}, Value: []byte{5, 0}})
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	for range 18 {
		own.Certificate = append(own.Certificate[:len(own.Certificate):len(own.Certificate)], der)
	}
	server.client.Certificates = []tls.Certificate{own}
	held := func(when string, want func(int) bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			s, err := server.eng.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want(s.Held) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d bytes are held", when, s.Held)
			}
		}
	}
	c := server.connect(t, openingRequest("/"))
	d := <-deferred // the layer has dropped them
	held("deferred", func(n int) bool { return n >= least })
	opened := make(chan struct{})
	if err := d.Decide(func(h *websocket.Handshake) {
		h.MoveTo(1 - h.Conn.Loop())
		close(opened)
	}); err != nil {
		t.Fatal(err)
	}
	<-opened
	held("open", func(n int) bool { return n == 0 })
	c.Close()
	held("closed", func(n int) bool { return n == 0 })
	server.connect(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").response(t, 404)
	held("a page", func(n int) bool { return n == 0 })
}
