package tlslayer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// selfTest has a server and a client of level 2 talk to crypto/tls, in memory, with TLS 1.3 and
// with suites of TLS 1.2. An error means that crypto/tls does not work as this package expects.
func selfTest() error {
	config, err := selfTestConfig()
	if err != nil {
		return err
	}
	for _, id := range []uint16{
		0, // TLS 1.3
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	} {
		c := config.Clone()
		if id != 0 {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id}
		}
		for _, server := range []bool{true, false} { // at level 2
			if err := selfTestOnce(c, server); err != nil {
				return fmt.Errorf("suite %#x, server at level 2: %t: %w", id, server, err)
			}
		}
	}
	return nil
}

func selfTestOnce(c *tls.Config, serverIs2 bool) error {
	s, cl, err := connect(
		newLayer(Config{TLS: c, StandardRecords: !serverIs2}),
		newLayer(Config{TLS: c, StandardRecords: serverIs2}))
	if err != nil {
		return err
	}
	if _, ok := s.(*records); ok != serverIs2 {
		return errors.New("the keys were not found")
	}
	if _, ok := cl.(*records); ok == serverIs2 {
		return errors.New("the client's keys were not found")
	}
	for range 2 {
		for _, n := range []int{1, 1000, 3 * maxPlain} {
			if err := errors.Join(selfTestSend(s, cl, n), selfTestSend(cl, s, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func selfTestSend(from, to layer.Stream, n int) error {
	message := bytes.Repeat([]byte{byte(n)}, n)
	b := from.Seal(nil, message)
	start, end, _, err := to.Open(b, 0)
	if err != nil {
		return err
	}
	if !bytes.Equal(b[start:end], message) {
		return fmt.Errorf("a message of %d bytes was changed", n)
	}
	return nil
}

// connect connects a client to a server, in memory.
func connect(server, client *Layer) (s, c layer.Stream, err error) {
	return connectHandshakes(server, client, func(s, c *handshake) {})
}

// connectHandshakes is connect that shows the handshakes when they are done.
func connectHandshakes(server, client *Layer, look func(s, c *handshake)) (s, c layer.Stream, err error) {
	notified := make(chan struct{}, 1)
	notify := func() {
		select {
		case notified <- struct{}{}:
		default:
		}
	}
	hs := server.server(nil, nil, notify)
	hc := client.client(client.config.TLS, nil, nil, notify)
	var toS, toC []byte
	for timeout := time.After(10 * time.Second); ; {
		sDone, sErr := hs.Done()
		cDone, cErr := hc.Done()
		toS, toC = hc.Output(toS), hs.Output(toC)
		switch {
		case sDone && cDone && sErr == nil && cErr == nil:
			look(hs, hc)
			s, _, sRest := hs.take(newLoop(2, 2))
			c, _, cRest := hc.take(newLoop(2, 2))
			return s, c, errors.Join(takeRest(s, append(sRest, toS...)), takeRest(c, append(cRest, toC...)))
		case sDone && cDone:
			return nil, nil, errors.Join(sErr, cErr)
		}
		n, _ := hs.Feed(toS) // an error is that of Done
		m, _ := hc.Feed(toC)
		toS, toC = toS[n:], toC[m:]
		if n+m > 0 {
			continue
		}
		if sErr != nil {
			hc.ReadClosed()
		}
		if cErr != nil {
			hs.ReadClosed()
		}
		select {
		case <-notified:
		case <-timeout:
			return nil, nil, ErrTimeout
		}
	}
}

// takeRest gives a Stream what has come behind the handshake: tickets.
func takeRest(s layer.Stream, rest []byte) error {
	from, to, end, err := s.Open(rest, 0)
	if err == nil && (from != to || to != end) {
		err = errors.New("unexpected bytes behind the handshake")
	}
	return err
}

// selfTestConfig returns a configuration with a certificate that it trusts.
func selfTestConfig() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}},
		RootCAs:      roots,
		ServerName:   "localhost",
	}, nil
}
