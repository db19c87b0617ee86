package wsproto

// vectors is the set of instructions in use: every arm64 processor has NEON. Tests change it to force the generic code.
var vectors = neon

// The lengths from which vectors are used. The code itself needs no more than 16 and 19 bytes.
const (
	maskMin = 64
	utf8Min = 32
)

func maskWins(n int) bool { return n >= maskMin && vectors != scalar }
func utf8Wins(n int) bool { return n >= utf8Min && vectors != scalar }
func unmaskWins(int) bool { return false }

// maskVector is mask where maskWins.
func maskVector(b []byte, key uint32, text bool) (ascii bool) {
	if text {
		return maskTextNEON(&b[0], len(b), key)
	}
	maskNEON(&b[0], len(b), key)
	return false
}

// utf8Vector says whether b can begin a valid text, as far as neighbours tell, where utf8Wins: the character at the end may be
// incomplete, or its first byte one that never occurs.
func utf8Vector(b []byte) bool { return utf8NEON(&b[0], len(b)) }

func unmaskVector([]byte, uint32) bool { return false }
