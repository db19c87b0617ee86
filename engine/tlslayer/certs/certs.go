// Package certs counts the memory that the certificates of a TLS peer take, for those that keep a
// tls.ConnectionState and count what peers make them hold.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"unsafe"
)

const (
	// parsedBytes is how many bytes of memory one of a certificate takes, at most: many extensions
	// or names of a few bytes each, and the certificate itself. What takes more counts besides.
	parsedBytes = 10
	parsedURI   = int(unsafe.Sizeof(url.URL{})) + 16 // of two bytes or more
	parsedOID   = 64                                 // of three bytes or more
	// usualChain is what the certificates of an honest peer take, at most. They belong to the
	// connection: it must not be closed because of others who make us hold more.
	usualChain = 64 << 10
)

// Held returns about how many bytes of memory s takes because its peer has sent more than is usual:
// certificates beyond 64 KiB of memory, with the OCSP response and the signed timestamps. It may be
// called from any goroutine.
func Held(s *tls.ConnectionState) int {
	n := len(s.OCSPResponse)
	for _, sct := range s.SignedCertificateTimestamps {
		n += len(sct)
	}
	for _, c := range s.PeerCertificates {
		n += int(unsafe.Sizeof(x509.Certificate{})) + parsedBytes*len(c.Raw) + parsedURI*len(c.URIs) +
			parsedOID*(len(c.UnknownExtKeyUsage)+len(c.PolicyIdentifiers)+len(c.Policies))
	}
	return max(0, n-usualChain)
}
