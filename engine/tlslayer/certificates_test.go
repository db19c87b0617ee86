package tlslayer

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// The tests in this file are about what the configuration of crypto/tls decides, on real
// connections of package engine.

// echConfig returns an ECHConfig with a key of its own: draft-ietf-tls-esni-25, Section 4.
func echConfig(id byte, publicName string) (config, key []byte) {
	secret := must(ecdh.X25519().GenerateKey(rand.Reader))
	vector := func(dst, b []byte) []byte { return append(binary.BigEndian.AppendUint16(dst, uint16(len(b))), b...) }
	contents := []byte{id, 0, 0x20} // the KEM is DHKEM(X25519, HKDF-SHA256)
	contents = vector(contents, secret.PublicKey().Bytes())
	// HKDF-SHA256 with AES-128-GCM or ChaCha20.
	contents = vector(contents, []byte{0, 1, 0, 1, 0, 1, 0, 3})
	contents = append(contents, 0, byte(len(publicName))) // of the longest name: not told
	contents = append(contents, publicName...)
	contents = vector(contents, nil) // extensions
	return vector([]byte{0xfe, 0x0d}, contents), secret.Bytes()
}

// TestEncryptedClientHello has clients hide the server's name: a tls.Conn and ours. The second
// connection of each resumes the session of the first. A client with an old key gets the new one.
func TestEncryptedClientHello(t *testing.T) {
	config, key := echConfig(1, "public.example")
	old, _ := echConfig(2, "public.example")
	list := func(config []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...)
	}
	for _, standard := range []bool{false, true} {
		states := make(chan tls.ConnectionState, 1)
		var asked atomic.Value // the server's name
		e := run(t, engine.Config{Loops: 1})
		c := Config{StandardRecords: standard, TLS: changed(func(c *tls.Config) {
			c.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{
				{Config: config, PrivateKey: key, SendAsRetry: true}}
			c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				asked.Store(hello.ServerName)
				return nil, nil
			}
		})}
		addr := listen(t, e, c, func(conn *engine.Conn) engine.Protocol {
			state, _ := ConnectionState(conn)
			states <- state
			return &echoing{conn: conn}
		})
		hidden := func(config []byte) func(*tls.Config) {
			return func(c *tls.Config) {
				sessions(c)
				c.MinVersion, c.EncryptedClientHelloConfigList = tls.VersionTLS13, list(config)
			}
		}
		check := func(client string, i int, theirs tls.ConnectionState) {
			t.Helper()
			ours := <-states
			if asked.Load() != "localhost" {
				t.Errorf("the callback sees %q", asked.Load())
			}
			if !ours.ECHAccepted || !theirs.ECHAccepted || ours.ServerName != "localhost" || ours.DidResume != (i > 0) {
				t.Errorf("%s, standard %t, connection %d: accepted %t and %t, server %q, resumed %t", client, standard,
					i, ours.ECHAccepted, theirs.ECHAccepted, ours.ServerName, ours.DidResume)
			}
		}

		cc := changed(hidden(config))
		for i := range 2 {
			nc := dial(t, addr, cc)
			io.WriteString(nc, "hello")
			got := make([]byte, 5)
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != "hello" {
				t.Fatalf("%q, error %v", got, err)
			}
			check("tls.Conn", i, nc.ConnectionState())
			nc.Close()
		}

		l := must(New(Config{TLS: changed(hidden(config)), StandardRecords: standard}))
		for i := range 2 {
			done, theirs := make(chan []byte, 1), tls.ConnectionState{}
			err := e.Dial(t.Context(), "tcp", addr, engine.DialConfig{Layer: l.Client("localhost")},
				func(c *engine.Conn, err error) engine.Protocol {
					if err != nil {
						t.Error(err)
						done <- nil
						return nil
					}
					theirs, _ = ConnectionState(c)
					io.WriteString(c, "hello")
					return &collecting{conn: c, want: 5, done: done}
				})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(<-done); got != "hello" {
				t.Fatalf("%q came back", got)
			}
			check("ours", i, theirs)
		}

		_, err := tls.Dial("tcp", addr, changed(func(c *tls.Config) {
			hidden(old)(c)
			c.EncryptedClientHelloRejectionVerify = func(tls.ConnectionState) error { return nil }
		}))
		var rejected *tls.ECHRejectionError
		if !errors.As(err, &rejected) || string(rejected.RetryConfigList) != string(list(config)) {
			t.Errorf("standard %t: with an old key: %v", standard, err)
		}
		if asked.Load() != "public.example" {
			t.Errorf("standard %t: with an old key the callback sees %q", standard, asked.Load())
		}
	}
}

// TestConnectionStateHasCertificates: the accept function sees the client's certificate and the
// names that were negotiated, also of a session that is resumed, and not after the first data.
func TestConnectionStateHasCertificates(t *testing.T) {
	second := must(selfTestConfig())
	for _, test := range []struct {
		name   string
		server func(c *tls.Config) // serves a certificate to who asks for it
	}{
		{"GetCertificate", func(c *tls.Config) {
			c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.ServerName != "localhost" || hello.Conn.RemoteAddr() == nil {
					t.Errorf("%q from %v", hello.ServerName, hello.Conn.RemoteAddr())
				}
				return &second.Certificates[0], nil
			}
		}},
		{"GetConfigForClient", func(c *tls.Config) {
			chosen := c.Clone()
			chosen.Certificates = second.Certificates
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
		}},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, standard := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, standard %t", test.name, tls.VersionName(version), standard)
				t.Run(name, func(t *testing.T) { stateOfClient(t, test.server, second, version, standard) })
			}
		}
	}
}

func stateOfClient(t *testing.T, server func(*tls.Config), second *tls.Config, version uint16, standard bool) {
	states := make(chan tls.ConnectionState, 1)
	handles := make(chan engine.Handle, 1)
	e := run(t, engine.Config{Loops: 1})
	own := testConfig().Certificates[0]
	addr := listen(t, e, Config{StandardRecords: standard, TLS: changed(func(c *tls.Config) {
		c.Certificates, c.NextProtos = nil, []string{"a", "b"}
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, testConfig().RootCAs
		server(c)
	})}, func(conn *engine.Conn) engine.Protocol {
		state, _ := ConnectionState(conn)
		states <- state
		handles <- conn.Handle()
		return &echoing{conn: conn}
	})
	var asked atomic.Int32
	cc := second.Clone()
	sessions(cc)
	cc.MaxVersion, cc.Certificates, cc.NextProtos = version, nil, []string{"c", "b"}
	cc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked.Add(1)
		return &own, nil
	}
	for i := range 2 {
		nc := dial(t, addr, cc)
		io.WriteString(nc, "hello")
		if _, err := io.ReadFull(nc, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		state := <-states
		switch {
		case len(state.VerifiedChains) != 1 || !state.PeerCertificates[0].Equal(own.Leaf):
			t.Errorf("connection %d: %d chains, %d certificates", i, len(state.VerifiedChains),
				len(state.PeerCertificates))
		case state.ServerName != "localhost" || state.NegotiatedProtocol != "b" || state.Version != version ||
			state.DidResume != (i > 0):
			t.Errorf("connection %d: server %q, protocol %q, %s, resumed %t", i, state.ServerName,
				state.NegotiatedProtocol, tls.VersionName(state.Version), state.DidResume)
		}
		later := make(chan tls.ConnectionState, 1)
		h := <-handles
		h.Post(func(c *engine.Conn) {
			state, _ := ConnectionState(c)
			later <- state
		})
		kept := <-later
		level1 := standard || version == tls.VersionTLS12 && i > 0
		if kept.Version != version || !level1 && len(kept.PeerCertificates) > 0 {
			t.Errorf("connection %d: later %s, %d certificates", i, tls.VersionName(kept.Version),
				len(kept.PeerCertificates))
		}
		nc.Close()
	}
	if asked.Load() != 1 {
		t.Errorf("the client was asked for its certificate %d times", asked.Load())
	}
}
