package wsproto

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	random "math/rand/v2"
	"sync"
)

// Key is a masking key (RFC 6455 section 5.3): its four bytes, the first one lowest.
type Key uint32

// Mask masks or unmasks b in place, and returns the key for the bytes that follow b.
func Mask(b []byte, key Key) Key {
	mask(b, uint32(key), false)
	return key.after(len(b))
}

// after returns the key for the byte that is n bytes further on.
func (k Key) after(n int) Key { return Key(bits.RotateLeft32(uint32(k), -8*(n&3))) }

// mask uses vector code for long slices, where the machine has it, or else masks eight bytes at a
// time, 64 in a round. Both are in one function because another call would slow down short
// payloads. For text, mask reports whether all of b is ASCII afterwards; it may return false for
// other data.
func mask(b []byte, key uint32, text bool) (ascii bool) {
	if maskWins(len(b)) {
		return maskVector(b, key, text)
	}
	k, high := uint64(key)<<32|uint64(key), uint64(0)
	for len(b) >= 64 {
		p := b[:64:64]
		v0 := binary.LittleEndian.Uint64(p[0:]) ^ k
		binary.LittleEndian.PutUint64(p[0:], v0)
		v1 := binary.LittleEndian.Uint64(p[8:]) ^ k
		binary.LittleEndian.PutUint64(p[8:], v1)
		v2 := binary.LittleEndian.Uint64(p[16:]) ^ k
		binary.LittleEndian.PutUint64(p[16:], v2)
		v3 := binary.LittleEndian.Uint64(p[24:]) ^ k
		binary.LittleEndian.PutUint64(p[24:], v3)
		v4 := binary.LittleEndian.Uint64(p[32:]) ^ k
		binary.LittleEndian.PutUint64(p[32:], v4)
		v5 := binary.LittleEndian.Uint64(p[40:]) ^ k
		binary.LittleEndian.PutUint64(p[40:], v5)
		v6 := binary.LittleEndian.Uint64(p[48:]) ^ k
		binary.LittleEndian.PutUint64(p[48:], v6)
		v7 := binary.LittleEndian.Uint64(p[56:]) ^ k
		binary.LittleEndian.PutUint64(p[56:], v7)
		high |= v0 | v1 | v2 | v3 | v4 | v5 | v6 | v7
		b = b[64:]
	}
	for len(b) >= 8 {
		v := binary.LittleEndian.Uint64(b) ^ k
		binary.LittleEndian.PutUint64(b, v)
		high |= v
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		high |= uint64(b[i])
		k >>= 8
	}
	return high&0x8080808080808080 == 0
}

// Keys makes masking keys that nobody can predict (RFC 6455 section 10.3). Only one goroutine may
// use it at a time.
type Keys struct{ source *random.ChaCha8 }

// Next returns a new key.
func (k *Keys) Next() Key {
	if k.source == nil {
		var seed [32]byte
		rand.Read(seed[:])
		k.source = random.NewChaCha8(seed)
	}
	return Key(k.source.Uint64())
}

// keys holds sources of masking keys, each for one goroutine at a time.
var keys = sync.Pool{New: func() any { return new(Keys) }}

// newKey returns a key that nobody can predict.
func newKey() Key {
	source := keys.Get().(*Keys)
	k := source.Next()
	keys.Put(source)
	return k
}
