package deflate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// bitWriter writes DEFLATE.
type bitWriter struct {
	b []byte
	n int // bits
}

// bits writes the n lowest bits of v, the lowest one first.
func (w *bitWriter) bits(v, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

// noDistances returns a message with a block that has no code for distances, and refers back all
// the same: the bits behind the length are distance, and as many ones.
func noDistances(distance, ones int) []byte {
	w := new(bitWriter)
	w.bits(0, 8) // a stored block, for every distance
	w.b, w.n = append(append(w.b, 0xFF, 0x7F, 0, 0x80), make([]byte, 0x7FFF)...), 8*(5+0x7FFF)
	w.bits(0b10_0, 3) // a block with its own codes
	w.bits(1, 5)      // 258 literals and lengths
	w.bits(0, 5)      // 1 distance
	w.bits(18-4, 4)
	// of the code for lengths: 0 00, 3 01, 18 10, 1 110, 2 111
	lengths := map[int]int{18: 2, 0: 2, 1: 3, 2: 3, 3: 2}
	for _, symbol := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1} {
		w.bits(lengths[symbol], 3)
	}
	zeros := func(n int) { w.bits(0b01, 2); w.bits(n-11, 7) }
	zeros(97)
	w.bits(0b011, 3) // a: 0
	w.bits(0b10, 2)  // b: 110
	zeros(138)
	zeros(19)
	w.bits(0b10, 2)  // the end of the block: 111
	w.bits(0b111, 3) // 3 bytes: 10
	w.bits(0b00, 2)  // no distance
	w.bits(0b01, 2)
	w.bits(distance, 4)
	for range ones {
		w.bits(1, 1)
	}
	w.bits(0, 3) // the empty block whose rest is cut off
	return w.b
}

// TestTablesOfOthersAreNotUsed: what becomes of a distance in a block without a code for distances
// does not depend on the message that was inflated before, which may be another connection's.
func TestTablesOfOthersAreNotUsed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the quick brown fox jumps over a lazy dog and all the others")
	var text strings.Builder
	for range 2000 {
		text.WriteString(words[rng.IntN(len(words))])
	}
	others := [][]byte{packed(t, text.String(), nil, 9, 15), packed(t, text.String()[:1000], nil, 9, 15)}
	for _, other := range others {
		if other[0]>>1&3 != 2 {
			t.Fatal("a message has no codes of its own")
		}
	}
	for _, config := range []wsproto.Config{{}, {Stream: true}, {InflateStep: 1}} {
		for distance := range 16 {
			for ones := range 20 {
				var outcomes [2]string
				for i, other := range others {
					_, err := receive(session(config, wsproto.Deflate{}), frame(wsproto.Binary, other), 1<<20)
					if err != nil {
						t.Fatal(err)
					}
					got, err := receive(session(config, wsproto.Deflate{}),
						frame(wsproto.Binary, noDistances(distance, ones)), 1<<20)
					all := strings.Join(got, "")
					outcomes[i] = fmt.Sprintf("%x, %v", all[max(0, len(all)-40):], err)
				}
				if outcomes[0] != outcomes[1] {
					t.Fatalf("stream %v, step %d, distance %04b and %d ones: %s, or %s", config.Stream,
						config.InflateStep, distance, ones, outcomes[0], outcomes[1])
				}
			}
		}
	}
}
