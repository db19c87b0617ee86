package wsproto

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	random "math/rand/v2"
)

// Key is a masking key (RFC 6455 section 5.3): its four bytes, the first one lowest.
type Key uint32

// Mask masks or unmasks b in place and returns the key for the bytes that follow b.
func Mask(b []byte, key Key) Key {
	mask(b, uint32(key))
	return key.after(len(b))
}

// after is the key for the byte n bytes on.
func (k Key) after(n int) Key { return Key(bits.RotateLeft32(uint32(k), -8*(n&3))) }

// mask hands long slices to the vector code where there is some. The rest is what every machine can do: eight bytes at a
// time, 64 in a round. It stands in the same function because a short payload would feel one more call.
func mask(b []byte, key uint32) {
	if useVectors && len(b) >= vectorMin {
		maskVector(b, key)
		return
	}
	k := uint64(key)<<32 | uint64(key)
	for len(b) >= 64 {
		p := b[:64:64]
		binary.LittleEndian.PutUint64(p[0:], binary.LittleEndian.Uint64(p[0:])^k)
		binary.LittleEndian.PutUint64(p[8:], binary.LittleEndian.Uint64(p[8:])^k)
		binary.LittleEndian.PutUint64(p[16:], binary.LittleEndian.Uint64(p[16:])^k)
		binary.LittleEndian.PutUint64(p[24:], binary.LittleEndian.Uint64(p[24:])^k)
		binary.LittleEndian.PutUint64(p[32:], binary.LittleEndian.Uint64(p[32:])^k)
		binary.LittleEndian.PutUint64(p[40:], binary.LittleEndian.Uint64(p[40:])^k)
		binary.LittleEndian.PutUint64(p[48:], binary.LittleEndian.Uint64(p[48:])^k)
		binary.LittleEndian.PutUint64(p[56:], binary.LittleEndian.Uint64(p[56:])^k)
		b = b[64:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k >>= 8
	}
}

// Keys makes masking keys that nobody can predict (RFC 6455 section 10.3). It is for one goroutine.
type Keys struct{ source *random.ChaCha8 }

// Next is a new key.
func (k *Keys) Next() Key {
	if k.source == nil {
		var seed [32]byte
		rand.Read(seed[:])
		k.source = random.NewChaCha8(seed)
	}
	return Key(k.source.Uint64())
}
