package room

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
)

// key is what a token is made of: the name of a Seat, by which it is found, and a secret, which is
// compared in constant time. So the time that a look-up takes tells nothing about the secret.
type key [24]byte

// idLen is the length of the name.
const idLen = 8

func newKey() (k key) {
	rand.Read(k[:]) // it does not fail
	return k
}

func (k *key) id() uint64 { return binary.NativeEndian.Uint64(k[:idLen]) }

func (k *key) token() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// find returns the Seat of a token, nil if there is none.
func (r *Room) find(token string) *Seat {
	var k key
	if len(token) != base64.RawURLEncoding.EncodedLen(len(k)) {
		return nil
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(k[:], []byte(token)); err != nil || n != len(k) {
		return nil
	}
	s := r.byID[k.id()]
	if s == nil || subtle.ConstantTimeCompare(s.key[idLen:], k[idLen:]) == 0 {
		return nil
	}
	return s
}
