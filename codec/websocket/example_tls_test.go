package websocket_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// A server that knows its clients by their certificates. crypto/tls has verified them when the
// callback Handshake is called.
func Example_clientCertificates() {
	own, ada := certificateFor("server"), certificateFor("Ada")
	clients := x509.NewCertPool() // who may issue certificates for clients
	clients.AddCert(ada.Leaf)
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{own},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
	}})
	if err != nil {
		log.Fatal(err)
	}
	server := &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			state := h.Request().TLS // nil on a port without TLS
			if state == nil || len(state.PeerCertificates) == 0 {
				h.Refuse(http.StatusUnauthorized, "a certificate is needed\n")
				return
			}
			// Keep the name only: a certificate takes some KiB.
			h.Conn.Value = state.PeerCertificates[0].Subject.CommonName
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			c.SendText(fmt.Sprintf("%s, %s", data, c.Value))
		},
	}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := engine.ListenConfig{Layer: layer.Server()}.Listen(eng, "tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	fmt.Println(greet(ln.String(), own, &tls.Config{Certificates: []tls.Certificate{ada}}))
	// Output: hello, Ada
}

// A server whose certificate is renewed without a restart. Connections that are open keep theirs;
// they need no other.
func Example_certificateReload() {
	var current atomic.Pointer[tls.Certificate]
	load := func(pair tls.Certificate) { current.Store(&pair) } // of tls.LoadX509KeyPair, at SIGHUP
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil },
	}})
	if err != nil {
		log.Fatal(err)
	}
	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := engine.ListenConfig{Layer: layer.Server()}.Listen(eng, "tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	for _, name := range []string{"old", "new"} {
		pair := certificateFor(name)
		load(pair)
		fmt.Println(greet(ln.String(), pair, &tls.Config{}), name)
	}
	// Output:
	// hello old
	// hello new
}

// greet says hello to a server with a certificate that it trusts, and returns the answer.
func greet(address string, trusted tls.Certificate, config *tls.Config) string {
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AddCert(trusted.Leaf)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := wsconn.Dial(ctx, "wss://"+address+"/", &wsconn.Config{TLS: config})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, wsconn.Text, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	_, answer, err := c.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	return string(answer)
}

// certificateFor returns a certificate that nobody else has signed.
func certificateFor(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
