package tlslayer

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

var benchSizes = []int{32, 1 << 10, 16 << 10}

// BenchmarkSeal seals one message.
func BenchmarkSeal(b *testing.B) {
	bench(b, func(b *testing.B, from, _ layer.Stream, n int) {
		message := pattern(n)
		buf := make([]byte, 0, from.SealedLen(n))
		for b.Loop() {
			from.Seal(buf, message)
		}
	})
}

// BenchmarkEcho seals one message and opens it, in place.
func BenchmarkEcho(b *testing.B) {
	bench(b, func(b *testing.B, from, to layer.Stream, n int) {
		message := pattern(n)
		buf := make([]byte, 0, from.SealedLen(n))
		for b.Loop() {
			if _, _, _, err := to.Open(from.Seal(buf, message), 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func bench(b *testing.B, f func(b *testing.B, from, to layer.Stream, n int)) {
	for _, suite := range testSuites {
		if suite.id != 0 && testing.Short() {
			continue
		}
		for level := 1; level <= 2; level++ {
			for _, n := range benchSizes {
				b.Run(fmt.Sprintf("%s/level%d/%d", suite.name, level, n), func(b *testing.B) {
					l := newLayer(Config{TLS: suiteConfig(suite.id), StandardRecords: level == 1})
					s, c, err := connect(l, l)
					if err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(n))
					b.ReportAllocs()
					f(b, s, c, n)
				})
			}
		}
	}
}

// BenchmarkNewKey is what it costs to use a connection whose AEAD is not in the loop's cache.
func BenchmarkNewKey(b *testing.B) {
	for _, suite := range testSuites {
		b.Run(suite.name, func(b *testing.B) {
			s := &suites[suiteByID(0x1301)]
			if suite.id != 0 {
				s = &suites[suiteByID(suite.id)]
			}
			h, l := new(half), newLoop(cacheMin, cacheMax)
			b.ReportAllocs()
			for b.Loop() {
				l.aead(s, h)
				l.forget(h)
			}
		})
	}
}

// BenchmarkHandshake is a full handshake, both sides of it.
func BenchmarkHandshake(b *testing.B) {
	l := newLayer(Config{TLS: testConfig()})
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := connect(l, l); err != nil {
			b.Fatal(err)
		}
	}
}
