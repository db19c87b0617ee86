package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// makeIdentities writes an authority and what it has signed to PEM files, each with its key: "rsa"
// and "ecdsa" are servers at 127.0.0.1, and "client" is a client. This process and its children
// trust the authority, and no other.
func makeIdentities(folder string) error {
	key := func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
	rsaKey := func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }
	var authority *x509.Certificate
	var authorityKey crypto.Signer
	for i, id := range []struct {
		name string
		key  func() (crypto.Signer, error)
	}{{"authority", key}, {"ecdsa", key}, {"rsa", rsaKey}, {"client", key}} {
		k, err := id.key()
		if err != nil {
			return err
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: id.name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
			KeyUsage: x509.KeyUsageDigitalSignature}
		if authority == nil {
			authority, authorityKey = c, k
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		}
		der, err1 := x509.CreateCertificate(rand.Reader, c, authority, k.Public(), authorityKey)
		secret, err2 := x509.MarshalPKCS8PrivateKey(k)
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
		err = errors.Join(err1, err2, os.WriteFile(identityFile(id.name), text, 0o600))
		if err != nil {
			return err
		}
	}
	os.Setenv("SSL_CERT_FILE", identityFile("authority"))       // for Go and OpenSSL
	os.Setenv("NODE_EXTRA_CA_CERTS", identityFile("authority")) // for node
	return nil
}

func identityFile(name string) string { return filepath.Join(folder, name+".pem") }

func identity(name string) tls.Certificate {
	c, err := tls.LoadX509KeyPair(identityFile(name), identityFile(name))
	if err != nil {
		panic(err)
	}
	return c
}

// clientConfig is for clients of ours: they resume sessions, and have a certificate for servers
// that ask for it.
func clientConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{identity("client")},
		ClientSessionCache: tls.NewLRUClientSessionCache(16)}
}

// tlsServer is how a site does TLS.
type tlsServer struct {
	name     string
	identity string
	version  uint16
	level    int // 1: crypto/tls does the records
}

var tlsServers = []tlsServer{
	{name: "TLS 1.3", identity: "ecdsa", version: tls.VersionTLS13},
	{name: "TLS 1.3 RSA", identity: "rsa", version: tls.VersionTLS13},
	{name: "TLS 1.2", identity: "ecdsa", version: tls.VersionTLS12},
	{name: "TLS 1.2 RSA", identity: "rsa", version: tls.VersionTLS12},
	{name: "TLS 1.3 level 1", identity: "ecdsa", version: tls.VersionTLS13, level: 1},
}

// fewTLSServers are enough for what takes long.
var fewTLSServers = []tlsServer{tlsServers[0], tlsServers[3]}

func (ts tlsServer) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{identity(ts.identity)},
		MinVersion: ts.version, MaxVersion: ts.version}
}

// newTLSSite is newSite over TLS. change changes the configuration, if it is not nil.
func newTLSSite(t *testing.T, compression *websocket.Compression, ts tlsServer, change func(*tls.Config)) *site {
	t.Helper()
	c := ts.config()
	if change != nil {
		change(c)
	}
	layer, err := tlslayer.New(tlslayer.Config{TLS: c, StandardRecords: ts.level == 1})
	if err != nil {
		t.Fatal(err)
	}
	s := makeSite(t, compression)
	s.layer = layer
	s.start("tcp", "127.0.0.1:0")
	return s
}

// note keeps what is known of the TLS of a connection.
func (s *site) note(c *engine.Conn) {
	state, ok := tlslayer.ConnectionState(c)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, state)
}

// noted returns what is known of all connections so far, and forgets it.
func (s *site) noted() []tls.ConnectionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.states
	s.states = nil
	return all
}

// checkStates wants a version on all connections of a site so far, and one that is resumed if
// resumed is true.
func (s *site) checkStates(t *testing.T, version uint16, resumed bool) {
	t.Helper()
	all := s.noted()
	n := 0
	for _, state := range all {
		if state.Version != version {
			t.Errorf("a connection has %s", tls.VersionName(state.Version))
		}
		if state.DidResume {
			n++
		}
	}
	if len(all) == 0 || resumed && n == 0 {
		t.Errorf("%d connections of %d are resumed", n, len(all))
	}
}
