package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// serverLayer returns TLS with a certificate of its own. All clients may have one address, and an
// emulated machine is slow.
func serverLayer() (engine.Layer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		HandshakeTimeout: time.Minute, MaxHandshakesPerAddress: -1})
	if err != nil {
		return nil, err
	}
	return layer.Server(), nil
}
