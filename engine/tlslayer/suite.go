package tlslayer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// suite is a cipher suite whose records this package opens and seals itself.
type suite struct {
	id      uint16
	tls13   bool
	chacha  bool
	keyLen  int
	hash    func() hash.Hash
	hashLen int
}

const (
	ivLen    = 12 // of a nonce
	saltLen  = 4  // of GCM in TLS 1.2: the part of the nonce that is not in the record
	tagLen   = 16 // of every AEAD here
	maxKey   = 32
	maxHash  = 48
	explicit = 8 // the part of GCM's nonce that TLS 1.2 sends in the record
)

var suites = [...]suite{
	{tls.TLS_AES_128_GCM_SHA256, true, false, 16, sha256.New, sha256.Size},
	{tls.TLS_AES_256_GCM_SHA384, true, false, 32, sha512.New384, sha512.Size384},
	{tls.TLS_CHACHA20_POLY1305_SHA256, true, true, 32, sha256.New, sha256.Size},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false, false, 16, sha256.New, sha256.Size},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false, false, 16, sha256.New, sha256.Size},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, false, false, 32, sha512.New384, sha512.Size384},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, false, false, 32, sha512.New384, sha512.Size384},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false, true, 32, sha256.New, sha256.Size},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false, true, 32, sha256.New, sha256.Size},
}

// suiteByID returns the index in suites, -1 if crypto/tls has to do this suite's records.
func suiteByID(id uint16) int {
	for i := range suites {
		if suites[i].id == id {
			return i
		}
	}
	return -1
}

// implicitLen is how much of the nonce is not in the record.
func (s *suite) implicitLen() int {
	if s.explicitLen() > 0 {
		return saltLen
	}
	return ivLen
}

// explicitLen is how much of the nonce is in the record.
func (s *suite) explicitLen() int {
	if !s.tls13 && !s.chacha {
		return explicit
	}
	return 0
}

// overhead is how many bytes longer a record's body is than what it contains.
func (s *suite) overhead() int {
	if s.tls13 {
		return tagLen + 1 // the content type
	}
	return tagLen + s.explicitLen()
}

// aead returns the AEAD of a key. It allocates about 1 KiB.
func (s *suite) aead(key []byte) cipher.AEAD {
	if s.chacha {
		return must(chacha20poly1305.New(key))
	}
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

// must is for errors that are impossible with keys of the right length, outside of FIPS 140 mode.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// setSecret derives the key and IV of a traffic secret of TLS 1.3: RFC 8446, Section 7.3. It begins
// to count records anew. The loop must not have the AEAD of the old key.
func (h *half) setSecret(s *suite, secret []byte) {
	copy(h.secret[:], secret)
	copy(h.key[:], expandLabel(s, secret, "key", s.keyLen))
	copy(h.iv[:], expandLabel(s, secret, "iv", ivLen))
	h.seq = 0
}

// expandLabel is HKDF-Expand-Label of RFC 8446, Section 7.1, without a context.
func expandLabel(s *suite, secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, 0)
	return must(hkdf.Expand(s.hash, secret, string(info), n))
}

// keysOf12 derives the keys and IVs of TLS 1.2 from the master secret: RFC 5246, Section 6.3.
func keysOf12(s *suite, master, clientRandom, serverRandom []byte) (client, server half) {
	label := append([]byte("key expansion"), serverRandom...)
	label = append(label, clientRandom...)
	iv := s.implicitLen()
	b := prf12(s.hash, master, label, 2*s.keyLen+2*iv)
	for _, dst := range [][]byte{client.key[:s.keyLen], server.key[:s.keyLen], client.iv[:iv], server.iv[:iv]} {
		b = b[copy(dst, b):]
	}
	return client, server
}

// prf12 is P_hash of RFC 5246, Section 5. label includes the seed.
func prf12(h func() hash.Hash, secret, label []byte, n int) (out []byte) {
	m := hmac.New(h, secret)
	sum := func(parts ...[]byte) []byte {
		m.Reset()
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	for a := sum(label); len(out) < n; a = sum(a) {
		out = append(out, sum(a, label)...)
	}
	return out[:n]
}
