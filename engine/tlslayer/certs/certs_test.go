package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"runtime"
	"testing"
)

func policy(i int) x509.OID {
	oid, err := x509.OIDFromInts([]uint64{1, 2, uint64(i)})
	if err != nil {
		panic(err)
	}
	return oid
}

// TestHeldIsWhatCertificatesTake: a certificate with tiny URIs takes 70 times its length, and a
// tenth of that was counted.
func TestHeldIsWhatCertificatesTake(t *testing.T) {
	const bytes = 100_000 // of a certificate, about
	for name, fill := range map[string]func(c *x509.Certificate){
		"empty URIs": func(c *x509.Certificate) {
			for range bytes / 2 {
				c.URIs = append(c.URIs, new(url.URL))
			}
		},
		"short URIs": func(c *x509.Certificate) {
			for range bytes / 5 {
				c.URIs = append(c.URIs, &url.URL{Scheme: "a", Opaque: "b"})
			}
		},
		"extensions": func(c *x509.Certificate) {
			for i := range bytes / 11 {
				c.ExtraExtensions = append(c.ExtraExtensions,
					pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, i}, Value: []byte{5, 0}})
			}
		},
		"DNS names": func(c *x509.Certificate) {
			for range bytes / 3 {
				c.DNSNames = append(c.DNSNames, "a")
			}
		},
		"mail addresses": func(c *x509.Certificate) {
			for range bytes / 6 {
				c.EmailAddresses = append(c.EmailAddresses, "a@bc")
			}
		},
		"IP addresses": func(c *x509.Certificate) {
			for range bytes / 6 {
				c.IPAddresses = append(c.IPAddresses, net.IP{1, 2, 3, 4})
			}
		},
		"names": func(c *x509.Certificate) {
			for range bytes / 20 {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames,
					pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "a"})
			}
		},
		"key usages": func(c *x509.Certificate) {
			for i := range bytes / 6 {
				c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 2, i % 100})
			}
		},
		"policies": func(c *x509.Certificate) {
			for i := range bytes / 8 {
				c.Policies = append(c.Policies, policy(i))
			}
		},
		"OCSP servers": func(c *x509.Certificate) {
			for range bytes / 20 {
				c.OCSPServer = append(c.OCSPServer, "a")
			}
		},
		"distribution points": func(c *x509.Certificate) {
			for range bytes / 12 {
				c.CRLDistributionPoints = append(c.CRLDistributionPoints, "a")
			}
		},
		"IP constraints": func(c *x509.Certificate) {
			for range bytes / 12 {
				c.PermittedIPRanges = append(c.PermittedIPRanges,
					&net.IPNet{IP: net.IP{1, 2, 3, 4}, Mask: net.IPMask{255, 255, 255, 255}})
			}
		},
		"DNS constraints": func(c *x509.Certificate) {
			for range bytes / 5 {
				c.PermittedDNSDomains = append(c.PermittedDNSDomains, "a")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := &x509.Certificate{SerialNumber: big.NewInt(1)}
			fill(c)
			key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			c = nil
			var before, after runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&before)
			parsed, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			takes := int(after.HeapAlloc) - int(before.HeapAlloc) + len(der) // to which Raw refers
			held := Held(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{parsed}}) + usualChain
			if held < takes*9/10 || held > takes*12 {
				t.Errorf("a certificate of %d bytes takes %d, and counts %d", len(der), takes, held)
			}
			runtime.KeepAlive(parsed)
			runtime.KeepAlive(der)
		})
	}
}
