package wsproto

// vectors is the set of instructions in use: every arm64 processor has NEON. Tests change it to
// force the generic code.
var vectors = neon

// The lengths from which vector code is used. The code itself needs at least 16 and 19 bytes.
const (
	maskMin = 64
	utf8Min = 32
)

func maskWins(n int) bool { return n >= maskMin && vectors != scalar }
func utf8Wins(n int) bool { return n >= utf8Min && vectors != scalar }
func unmaskWins(int) bool { return false }

// maskVector does what mask does, if maskWins.
func maskVector(b []byte, key uint32, text bool) (ascii bool) {
	if text {
		return maskTextNEON(&b[0], len(b), key)
	}
	maskNEON(&b[0], len(b), key)
	return false
}

// utf8Vector reports whether b can begin a valid text, if utf8Wins. It looks at neighbouring bytes
// only: the last character may be incomplete, or the last byte one that never occurs.
func utf8Vector(b []byte) bool { return utf8NEON(&b[0], len(b)) }

func unmaskVector([]byte, uint32) bool { return false }
