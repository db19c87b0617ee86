package wsproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
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

// masker masks b and, if told, says whether it is ASCII then.
type masker struct {
	name  string
	least int
	tells bool
	mask  func(b []byte, key uint32) (ascii bool)
}

// maskers are all implementations that this machine can run: the functions in assembly, and what is
// chosen where they are out of use, one by one.
func maskers() (all []masker) {
	for _, k := range kernels() {
		m := masker{k.name, k.least, k.mask == nil, k.maskText}
		if k.mask != nil {
			m.mask = func(b []byte, key uint32) bool { k.mask(b, key); return false }
		}
		if m.mask != nil {
			all = append(all, m)
		}
	}
	for _, set := range allVectors() {
		for _, text := range []bool{false, true} {
			all = append(all, masker{fmt.Sprintf("%s, text %v", names[set], text), 0, text,
				func(b []byte, key uint32) bool {
					force(set)
					defer force(widest())
					return mask(b, key, text)
				}})
		}
	}
	return all
}

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
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
	for _, m := range maskers() {
		for _, n := range sizes {
			for offset := range 65 {
				if n > 4096 && offset > 3 {
					break
				}
				if n < m.least {
					continue
				}
				key := uint32(0x9A3C5D7E) + uint32(n*offset)
				memory := noise(n + 64 + offset)
				want := bytes.Clone(memory)
				naiveMask(want[offset:offset+n], key)
				ascii := m.mask(memory[offset:offset+n], key)
				if !bytes.Equal(memory, want) {
					t.Fatalf("%s: wrong at length %d, offset %d (or outside of the slice)", m.name, n, offset)
				}
				if m.tells && ascii != isASCII(want[offset:offset+n]) {
					t.Fatalf("%s: length %d, offset %d: ASCII is %v", m.name, n, offset, ascii)
				}
			}
		}
	}
}

// TestMaskTellsASCII has one byte at most that is none, at every place.
func TestMaskTellsASCII(t *testing.T) {
	for _, m := range maskers() {
		for n := m.least; m.tells && n < 600; n++ {
			if n == 300 {
				n = 512 + 64 // where vectors begin at a multiple of their width
			}
			for at := -1; at < n; at++ {
				b := bytes.Repeat([]byte{'a'}, n+2)[1:] // at no multiple of any width
				if b[n] = 0x80; at >= 0 {
					b[at] = 0x80
				}
				naiveMask(b[:n], 0xDEADBEEF)
				if ascii := m.mask(b[:n], 0xDEADBEEF); ascii != (at < 0) {
					t.Fatalf("%s: length %d, not ASCII at %d: ASCII is %v", m.name, n, at, ascii)
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
		for _, m := range maskers() {
			if len(b) < m.least {
				continue
			}
			got := bytes.Clone(b)
			ascii := m.mask(got, key)
			if !bytes.Equal(got, want) || m.tells && ascii != isASCII(want) {
				t.Fatalf("%s: differs from naive, ASCII is %v", m.name, ascii)
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
	bench := func(name string, n int, f func([]byte, uint32)) {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			p := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f(p, 0x12345678)
			}
		})
	}
	for _, n := range []int{8, 16, 32, 64, 96, 128, 160, 192, 256, 512, 1024, 4096, 32768, 65536, 1 << 20} {
		for _, k := range kernels() {
			if k.mask != nil && n >= k.least {
				bench(k.name, n, k.mask)
			}
		}
		EachVectors(func(name string) {
			bench(name, n, func(b []byte, key uint32) { mask(b, key, false) })
		})
	}
}
