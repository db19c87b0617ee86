package wsproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gobwas/ws"
)

// naiveMask is RFC 6455 section 5.3, word for word.
func naiveMask(b []byte, key uint32) {
	var k [4]byte
	binary.LittleEndian.PutUint32(k[:], key)
	for i := range b {
		b[i] ^= k[i%4]
	}
}

// variants are all implementations that this machine can run, for tests to force each.
func variants() map[string]func([]byte, uint32) {
	v := map[string]func([]byte, uint32){"chosen": mask}
	addVariants(v)
	return v
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestMaskVariantsAgainstNaive(t *testing.T) {
	sizes := []int{511, 512, 513, 1023, 1024, 1055, 4096, 65536, 65537}
	for n := range 301 {
		sizes = append(sizes, n)
	}
	for name, f := range variants() {
		for _, n := range sizes {
			for offset := range 33 {
				if n > 4096 && offset > 3 {
					break
				}
				key := uint32(0x9A3C5D7E) + uint32(n*offset)
				memory := noise(n + 64 + offset)
				want := bytes.Clone(memory)
				naiveMask(want[offset:offset+n], key)
				f(memory[offset:offset+n], key)
				if !bytes.Equal(memory, want) {
					t.Fatalf("%s: wrong at length %d, offset %d (or outside of the slice)", name, n, offset)
				}
			}
		}
	}
}

func TestMaskGoesOnWhereItStopped(t *testing.T) {
	const key = 0x12345678
	whole := noise(1000)
	want := bytes.Clone(whole)
	Mask(want, key)
	for cut := range whole {
		b := bytes.Clone(whole)
		Mask(b[cut:], Mask(b[:cut], key))
		if !bytes.Equal(b, want) {
			t.Fatalf("split at %d gives other bytes", cut)
		}
	}
}

func TestMaskAgainstGobwas(t *testing.T) {
	for _, n := range []int{0, 1, 5, 125, 126, 300, 65536} {
		key := [4]byte{0x37, 0xFA, 0x21, 0x3D}
		a, b := noise(n), noise(n)
		Mask(a, Key(binary.LittleEndian.Uint32(key[:])))
		ws.Cipher(b, key, 0)
		if !bytes.Equal(a, b) {
			t.Fatalf("differs from gobwas at length %d", n)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("hello, world"), uint32(1), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, key uint32, cut uint8) {
		want := bytes.Clone(b)
		naiveMask(want, key)
		for name, v := range variants() {
			got := bytes.Clone(b)
			v(got, key)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s: differs from naive", name)
			}
		}
		got := bytes.Clone(b)
		at := min(int(cut), len(b))
		Mask(got[at:], Mask(got[:at], Key(key)))
		if !bytes.Equal(got, want) {
			t.Fatal("differs when split")
		}
	})
}

func TestKeysDiffer(t *testing.T) {
	var a, b Keys
	if x, y := a.Next(), a.Next(); x == y || x == b.Next() {
		t.Fatal("masking keys repeat")
	}
}

func BenchmarkMask(b *testing.B) {
	for _, n := range []int{8, 16, 32, 64, 96, 128, 160, 192, 256, 1024, 4096, 65536, 1 << 20} {
		for _, name := range []string{"generic", "chosen", "vector"} {
			f := variants()[name]
			if f == nil {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				p := make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					f(p, 0x12345678)
				}
			})
		}
	}
}
