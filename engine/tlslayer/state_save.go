package tlslayer

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"math"

	"github.com/myriadnet/myriad/engine/saved"
)

// The flags of a saved tls.ConnectionState.
const (
	savedResumed = 1 << iota
	savedECH
	savedRetry
	savedStateFlags
)

// appendState appends what crypto/tls tells about a connection, but for the version and the suite,
// and for the exporter, which it does not tell.
func appendState(dst []byte, s *tls.ConnectionState) []byte {
	flags := byte(0)
	for i, set := range []bool{s.DidResume, s.ECHAccepted, s.HelloRetryRequest} {
		if set {
			flags |= 1 << i
		}
	}
	dst = binary.BigEndian.AppendUint16(append(dst, flags), uint16(s.CurveID))
	dst = saved.AppendBytes(dst, s.NegotiatedProtocol)
	dst = saved.AppendBytes(dst, s.ServerName)
	dst = saved.AppendBytes(dst, s.OCSPResponse)
	dst = saved.AppendBytes(dst, s.TLSUnique)
	dst = binary.AppendUvarint(dst, uint64(len(s.SignedCertificateTimestamps)))
	for _, sct := range s.SignedCertificateTimestamps {
		dst = saved.AppendBytes(dst, sct)
	}
	dst = appendCertificates(dst, s.PeerCertificates)
	dst = binary.AppendUvarint(dst, uint64(len(s.VerifiedChains)))
	for _, chain := range s.VerifiedChains {
		dst = appendCertificates(dst, chain)
	}
	return dst
}

func appendCertificates(dst []byte, all []*x509.Certificate) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for _, c := range all {
		dst = saved.AppendBytes(dst, c.Raw)
	}
	return dst
}

// maxSavedList is the length of the longest list in a saved state.
const maxSavedList = 1 << 16

// loadState is the reverse of appendState. It keeps nothing of what r reads.
func loadState(r *saved.Reader, version, suite uint16) *tls.ConnectionState {
	flags := r.Byte()
	r.Check(flags < savedStateFlags)
	s := &tls.ConnectionState{Version: version, CipherSuite: suite, HandshakeComplete: true,
		DidResume:   flags&savedResumed != 0,
		ECHAccepted: flags&savedECH != 0, HelloRetryRequest: flags&savedRetry != 0,
		CurveID: tls.CurveID(uint16(r.Byte())<<8 | uint16(r.Byte()))}
	//lint:ignore SA1019 crypto/tls sets it, too
	s.NegotiatedProtocolIsMutual = true
	s.NegotiatedProtocol = string(loadBytes(r))
	s.ServerName = string(loadBytes(r))
	s.OCSPResponse = loadBytes(r)
	s.TLSUnique = loadBytes(r)
	for n := r.Uvarint(maxSavedList); n > 0 && r.Err() == nil; n-- {
		s.SignedCertificateTimestamps = append(s.SignedCertificateTimestamps, loadBytes(r))
	}
	known := make(map[string]*x509.Certificate) // chains have the same ones
	s.PeerCertificates = loadCertificates(r, known)
	for n := r.Uvarint(maxSavedList); n > 0 && r.Err() == nil; n-- {
		s.VerifiedChains = append(s.VerifiedChains, loadCertificates(r, known))
	}
	return s
}

// loadBytes returns a copy, nil instead of an empty one.
func loadBytes(r *saved.Reader) []byte { return append([]byte(nil), r.Bytes(math.MaxInt)...) }

func loadCertificates(r *saved.Reader, known map[string]*x509.Certificate) (all []*x509.Certificate) {
	for n := r.Uvarint(maxSavedList); n > 0 && r.Err() == nil; n-- {
		raw := loadBytes(r)
		c := known[string(raw)]
		if c == nil {
			var err error
			if c, err = x509.ParseCertificate(raw); err != nil {
				r.Fail()
				return nil
			}
			known[string(raw)] = c
		}
		all = append(all, c)
	}
	return all
}
