package wsproto

// vectors is the widest set of instructions in use. It is set once; tests change it to force
// others.
var vectors = detectVectors()

// detectVectors asks the processor what it supports, and the operating system which registers it
// saves (Intel SDM volume 1, sections 14.3 and 15.2). AVX-512 is used from Ice Lake and Zen 4 on,
// which have all of its instructions for bytes: older processors lower their clock for it.
func detectVectors() vectorSet {
	const (
		osxsave, avx       = 1 << 27, 1 << 28         // leaf 1, ECX
		bmi2, avx2Bit      = 1 << 8, 1 << 5           // leaf 7, EBX
		avx512F, avx512BW  = 1 << 16, 1 << 30         // leaf 7, EBX
		vbmi, vbmi2        = 1 << 1, 1 << 6           // leaf 7, ECX
		ymmState, zmmState = 0b0000_0110, 0b1110_0110 // XCR0
		wide, wideBytes    = bmi2 | avx512F | avx512BW, vbmi | vbmi2
	)
	if most, _, _, _ := cpuid(0, 0); most < 7 {
		return scalar
	}
	if _, _, c, _ := cpuid(1, 0); c&(osxsave|avx) != osxsave|avx {
		return scalar
	}
	saved := xgetbv()
	_, b, c, _ := cpuid(7, 0)
	switch {
	case saved&ymmState != ymmState || b&avx2Bit == 0:
		return scalar
	case saved&zmmState != zmmState || b&wide != wide || c&wideBytes != wideBytes:
		return avx2
	}
	return avx512
}

// The lengths from which vector code is faster, measured by BenchmarkMask and BenchmarkText on
// Sapphire Rapids. The code itself needs at least 32 bytes for maskMin, 64 for maskWide, 35 for
// utf8Min and 1 for textWide.
const (
	maskMin  = 96
	maskWide = 256 // below, AVX-512 is not faster than AVX2
	utf8Min  = 35
	textWide = 16 // AVX-512, which can also unmask and check in one pass
)

func maskWins(n int) bool { return n >= maskMin && vectors != scalar }
func utf8Wins(n int) bool {
	return vectors == avx512 && n >= textWide || vectors == avx2 && n >= utf8Min
}
func unmaskWins(n int) bool { return vectors == avx512 && n >= textWide }

// maskVector does what mask does, if maskWins.
func maskVector(b []byte, key uint32, text bool) (ascii bool) {
	switch {
	case text:
		return maskTextAVX2(&b[0], len(b), key)
	case vectors == avx512 && len(b) >= maskWide:
		maskAVX512(&b[0], len(b), key)
	default:
		maskAVX2(&b[0], len(b), key)
	}
	return false
}

// utf8Vector reports whether b can begin a valid text, if utf8Wins. It looks at neighbouring bytes
// only: the last character may be incomplete, or the last byte one that never occurs.
func utf8Vector(b []byte) bool {
	if vectors == avx512 {
		return utf8AVX512(&b[0], len(b))
	}
	return utf8AVX2(&b[0], len(b))
}

// unmaskVector unmasks b and checks it in the same pass, as utf8Vector does, if unmaskWins.
func unmaskVector(b []byte, key uint32) bool { return unmaskAVX512(&b[0], len(b), key) }
