package wsproto

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// checker says of masked bytes, which it unmasks, whether they can begin a text, as utf8Vector
// does.
type checker struct {
	name  string
	least int
	check func(b []byte, key uint32) bool
}

// checkers are all functions in assembly that check UTF-8.
func checkers() (all []checker) {
	for _, k := range kernels() {
		switch {
		case k.utf8 != nil:
			all = append(all, checker{k.name, k.least, func(b []byte, key uint32) bool {
				naiveMask(b, key)
				return k.utf8(b)
			}})
		case k.unmask != nil:
			all = append(all, checker{k.name, k.least, k.unmask})
		}
	}
	return all
}

// naiveNeighbours is utf8Vector by the standard library.
func naiveNeighbours(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b) || len(b) == 1 && b[0] >= 0xC0
		}
		b = b[n:]
	}
	return true
}

// naiveBegins says whether b can begin a text.
func naiveBegins(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}

var utf8Edges = []byte{0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
	0xEE, 0xEF,
	0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF}

// someText is n bytes: runs of characters of one length, those at the edges among them, the last
// one perhaps cut off.
func someText(rng *rand.Rand, n int) []byte {
	kinds := [][]rune{{'a', 0, 0x7F}, {0x80, 'ж', 0x7FF}, {0x800, '漢', 0xD7FF, 0xE000, 0xFFFF},
		{0x10000, '😀', 0x10FFFF}}
	var b []byte
	for len(b) < n {
		kind := kinds[rng.IntN(4)]
		for range 1 << rng.IntN(9) {
			b = utf8.AppendRune(b, kind[rng.IntN(len(kind))])
		}
	}
	return b[:n]
}

func TestUTF8VariantsAgainstNaive(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 1500 {
		rounds := 20
		if n > 300 {
			rounds = 2
		}
		for round := range rounds {
			want, offset, key := someText(rng, n), rng.IntN(65), rng.Uint32()
			if n > 0 && round%4 > 0 {
				want[rng.IntN(n)] = utf8Edges[rng.IntN(len(utf8Edges))]
			}
			masked := bytes.Repeat([]byte{0xA5}, offset+n+65)
			copy(masked[offset:], want)
			naiveMask(masked[offset:offset+n], key)
			for _, c := range checkers() {
				if n < c.least {
					continue
				}
				b := append(make([]byte, 0, len(masked)), masked...)
				if ok := c.check(b[offset:offset+n], key); ok != naiveNeighbours(want) {
					t.Fatalf("%s: %v at offset %d: %x", c.name, ok, offset, want)
				}
				if !bytes.Equal(b[offset:offset+n], want) || !bytes.Equal(b[:offset], masked[:offset]) ||
					!bytes.Equal(b[offset+n:], masked[offset+n:]) {
					t.Fatalf("%s: wrong bytes at length %d, offset %d (or outside of the slice)", c.name, n, offset)
				}
			}
			EachVectors(func(name string) {
				b := bytes.Clone(masked)
				if ok := unmaskText(b[offset:offset+n], Key(key)); ok != utf8.Valid(want) {
					t.Fatalf("%s: unmaskText is %v: %x", name, ok, want)
				}
				if !bytes.Equal(b[:offset], masked[:offset]) || !bytes.Equal(b[offset+n:], masked[offset+n:]) {
					t.Fatalf("%s: wrote outside of the slice, at length %d, offset %d", name, n, offset)
				}
			})
		}
	}
}

// TestUTF8VectorsKnowEveryCharacter has all four bytes that matter lie at the beginning, and across
// the borders of vectors of every width.
func TestUTF8VectorsKnowEveryCharacter(t *testing.T) {
	memory := make([]byte, 64+100)
	b := memory[64-int(address(memory)%64):][:100] // at a multiple of 64
	for _, c := range checkers() {
		for i := range b {
			b[i] = 'a'
		}
		for _, at := range []int{0, 13, 30, 63} {
			four := b[at : at+4]
			for i := range len(utf8Edges) * len(utf8Edges) * len(utf8Edges) * len(utf8Edges) {
				for k := range four {
					four[k] = utf8Edges[i%len(utf8Edges)]
					i /= len(utf8Edges)
				}
				if ok := c.check(b, 0); ok != utf8.Valid(four) {
					t.Fatalf("%s: %x at %d: %v", c.name, four, at, ok)
				}
			}
			copy(four, "aaaa")
		}
	}
}

// TestUTF8VectorsWantWholeCharactersBeforeASCII cuts a character off at every place, before so much
// ASCII that vectors of it are skipped, and has the rest of it follow or not.
func TestUTF8VectorsWantWholeCharactersBeforeASCII(t *testing.T) {
	memory := make([]byte, 64+1000)
	memory = memory[64-int(address(memory)%64):]
	for _, c := range checkers() {
		for _, parts := range [][2]string{{"ß", ""}, {"\xC3", "\x9F"}, {"漢", ""}, {"\xE6", "\xBC\xA2"},
			{"\xE6\xBC", "\xA2"},
			{"😀", ""}, {"\xF0", "\x9F\x98\x80"}, {"\xF0\x9F", "\x98\x80"}, {"\xF0\x9F\x98", "\x80"}} {
			for i := range 64 * 64 * 2 {
				before, between, rest := i%64, 600+i/64%64, parts[1]
				if i >= 64*64 {
					rest = ""
				}
				text := append(memory[:0], strings.Repeat("a", before)+parts[0]+strings.Repeat("a", between)+rest...)
				if ok := c.check(text, 0); ok != utf8.Valid(text) {
					t.Fatalf("%s: %x after %d bytes, %d between, then %x: %v", c.name, parts[0], before, between, rest,
						ok)
				}
			}
		}
	}
}

// TestUTF8GoesOnWhereItStopped splits texts at every place, masked and not, and looks at what is
// known then.
func TestUTF8GoesOnWhereItStopped(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	EachVectors(func(name string) {
		for n := range 300 {
			text := someText(rng, n)
			if n > 0 && n%2 == 0 {
				text[rng.IntN(n)] = utf8Edges[rng.IntN(len(utf8Edges))]
			}
			for cut := range n + 1 {
				var u, v textState
				masked, key := bytes.Clone(text), Key(0x9A3C5D7E)
				Mask(masked, key)
				for _, piece := range [][2]int{{0, cut}, {cut, n}} {
					from, end := piece[0], piece[1]
					ok, unmasked := u.feed(text[from:end]), v.unmask(masked[from:end], key.after(from))
					if want := naiveBegins(text[:end]); ok != want || unmasked != want {
						t.Fatalf("%s: Feed is %v, unmask %v at %d, split at %d: %x", name, ok, unmasked, end, cut, text)
					}
					if !ok {
						break
					}
					if want := utf8.Valid(text[:end]); u.whole() != want || v != u {
						t.Fatalf("%s: Whole is %v, unmask leaves %v at %d, split at %d: %x", name, u.whole(), v, end,
							cut, text)
					}
				}
			}
		}
	})
}

// FuzzUTF8 has what it is given follow a run of characters, so that it lies anywhere in a vector.
func FuzzUTF8(f *testing.F) {
	f.Add([]byte("hello, wörld, \u20AC \U00024B62"), uint8(0), uint32(1), uint(5), uint(9))
	f.Add([]byte("\xed\xa0\x80"), uint8(40), uint32(2), uint(1), uint(2))
	f.Add([]byte("\xf4\x90\x80\x80"), uint8(100), uint32(3), uint(1), uint(2))
	f.Fuzz(func(t *testing.T, b []byte, run uint8, key uint32, i, k uint) {
		text := append([]byte(strings.Repeat("漢", int(run))), b...)
		masked := bytes.Clone(text)
		naiveMask(masked, key)
		for _, c := range checkers() {
			if got := bytes.Clone(masked); len(got) >= c.least {
				if ok := c.check(got, key); ok != naiveNeighbours(text) || !bytes.Equal(got, text) {
					t.Fatalf("%s: %v: %x, unmasked %x", c.name, ok, text, got)
				}
			}
		}
		i, k = min(i, uint(len(text))), min(k, uint(len(text)))
		EachVectors(func(name string) {
			var u, v textState
			got, from := bytes.Clone(masked), 0
			for _, end := range []int{int(min(i, k)), int(max(i, k)), len(text)} {
				fed, unmasked := u.feed(text[from:end]), v.unmask(got[from:end], Key(key).after(from))
				if want := naiveBegins(text[:end]); fed != want || unmasked != want {
					t.Fatalf("%s: Feed is %v, unmask %v at %d, split at %d and %d: %x", name, fed, unmasked, end, i, k,
						text)
				}
				if from = end; !fed {
					return
				}
			}
			if u.whole() != utf8.Valid(text) || v != u || !bytes.Equal(got, text) {
				t.Fatalf("%s: Whole is %v, unmask leaves %v and %x: %x", name, u.whole(), v, got, text)
			}
		})
	})
}

var benchmarkTexts = []struct{ name, text string }{
	{"ASCII", "The quick brown fox jumps over the lazy dog. "},
	{"French", "Le garçon mange une pomme dans le jardin de sa grand-mère, " +
		"près du vieux château, puis il va à la plage. "},
	{"Cyrillic", "Съешь же ещё этих мягких французских булок, да выпей чаю. "},
	{"CJK", "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏"},
	{"emoji", "😀😃😄😁😆😅😂🤣😊😇🙂🙃😉😌😍🥰😘"},
}

// benchmarkText is n bytes of whole characters.
func benchmarkText(text string, n int) []byte {
	b := []byte(strings.Repeat(text, n/len(text)+1)[:n])
	for cut := wholeCharacters(b); cut < n; cut++ {
		b[cut] = '.'
	}
	return b
}

// BenchmarkText checks a text, and unmasks and checks it, which leaves it valid with a key of
// zeros.
func BenchmarkText(b *testing.B) {
	for _, text := range benchmarkTexts {
		for _, n := range []int{8, 16, 32, 64, 128, 256, 1024, 4096, 16384, 65536} {
			p := benchmarkText(text.text, n)
			bench := func(name string, f func() bool) {
				b.Run(fmt.Sprintf("%s/%d/%s", text.name, n, name), func(b *testing.B) {
					b.SetBytes(int64(n))
					b.ReportAllocs()
					for b.Loop() {
						if !f() {
							b.Fatal("not UTF-8")
						}
					}
				})
			}
			EachVectors(func(name string) {
				bench("check/"+name, func() bool {
					var u textState
					return u.feed(p) && u.whole()
				})
				bench("unmask/"+name, func() bool { return unmaskText(p, 0) })
			})
		}
	}
}
