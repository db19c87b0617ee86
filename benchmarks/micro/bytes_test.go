package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/wsproto"
)

const key wsproto.Key = 0x9c41f27b

var gobwasKey = [4]byte(binary.LittleEndian.AppendUint32(nil, uint32(key)))

// masks has the libraries' public functions for masking. Those of gorilla, gws and coder are
// private; BenchmarkReceive measures them.
var masks = []struct {
	name string
	mask func(b []byte)
}{
	{"myriad", func(b []byte) { wsproto.Mask(b, key) }},
	{"gobwas", func(b []byte) { ws.Cipher(b, gobwasKey, 0) }},
}

func BenchmarkMask(b *testing.B) {
	for _, size := range []int{8, 32, 125, 1 << 10, 4 << 10, 64 << 10, 1 << 20} {
		for _, m := range masks {
			b.Run(fmt.Sprintf("size=%d/impl=%s", size, m.name), func(b *testing.B) {
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					m.mask(p)
				}
			})
		}
	}
}

func TestMasks(t *testing.T) {
	for size := range 300 {
		want := bytes.Repeat([]byte("abc"), size)
		for i := range want {
			want[i] ^= gobwasKey[i%4]
		}
		for _, m := range masks {
			b := bytes.Repeat([]byte("abc"), size)
			if m.mask(b); !bytes.Equal(b, want) {
				t.Fatalf("%s masks %d bytes wrongly", m.name, len(b))
			}
		}
	}
}

// checkers report whether a text is UTF-8. gws and coder use unicode/utf8, and gorilla does not
// check.
var checkers = []struct {
	name string
	make func() (check func(b []byte) bool)
}{
	{"myriad", func() func(b []byte) bool { return wsproto.ValidUTF8 }},
	{"std", func() func(b []byte) bool { return utf8.Valid }},
	{"gobwas", func() func(b []byte) bool {
		var source bytes.Reader
		r := wsutil.NewUTF8Reader(nil)
		out := make([]byte, 64<<10)
		return func(b []byte) bool {
			source.Reset(b)
			r.Reset(&source)
			if _, err := io.ReadFull(r, out[:len(b)]); err != nil {
				return false
			}
			return r.Valid()
		}
	}},
}

var texts = []struct{ name, text string }{
	{"ascii", "The quick brown fox jumps over the lazy dog. "},
	{"cyrillic", "Съешь же ещё этих мягких французских булок, да выпей чаю. "},
	{"cjk", "人皆生而自由;在尊嚴及權利上均各平等。人各賦有理性良知"},
	{"emoji", "😀😃😄😁😆😅😂🤣😊😇🙂🙃😉😌😍🥰😘"},
}

// text returns size bytes of whole characters.
func text(of string, size int) []byte {
	b := []byte(strings.Repeat(of, size/len(of)+1))[:size]
	for i := size - 1; !utf8.Valid(b); i-- {
		b[i] = '.'
	}
	return b
}

// BenchmarkUTF8 checks valid texts. gobwas also copies them, because its checker is a Reader.
func BenchmarkUTF8(b *testing.B) {
	for _, of := range texts {
		for _, size := range []int{32, 256, 4 << 10, 64 << 10} {
			p := text(of.text, size)
			for _, c := range checkers {
				b.Run(fmt.Sprintf("text=%s/size=%d/impl=%s", of.name, size, c.name), func(b *testing.B) {
					check := c.make()
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						if !check(p) {
							b.Fatal("not UTF-8")
						}
					}
				})
			}
		}
	}
}

func TestCheckers(t *testing.T) {
	for _, of := range texts {
		for _, size := range []int{32, 256, 1000} {
			for _, c := range checkers {
				check, b := c.make(), text(of.text, size)
				if !check(b) {
					t.Errorf("%s: %s of %d bytes is invalid", c.name, of.name, size)
				}
				if b[size/2] = 0xFF; check(b) {
					t.Errorf("%s: %s with a byte 0xFF is valid", c.name, of.name)
				}
				if b = text(of.text, size); check(append(b[:size-1], 0xE4)) {
					t.Errorf("%s: %s that ends within a character is valid", c.name, of.name)
				}
			}
		}
	}
}
