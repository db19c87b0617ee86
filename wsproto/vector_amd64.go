package wsproto

// vectors is the widest set of instructions in use. It is set once; tests change it to force the others.
var vectors = detectVectors()

// detectVectors asks the processor, and whether the operating system saves the registers (Intel SDM volume 1, sections 14.3
// and 15.2). AVX-512 counts from Ice Lake and Zen 4 on, which have all of its parts for bytes: older processors lower their
// clock for it.
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

// The lengths from which vectors win, measured by BenchmarkMask and BenchmarkText on Sapphire Rapids. The code itself needs no
// more than 32 bytes for maskMin, 64 for maskWide, 35 for utf8Min and 1 for textWide.
const (
	maskMin  = 96
	maskWide = 256 // below, AVX2 is no slower than AVX-512
	utf8Min  = 35
	textWide = 16 // by AVX-512: checking, and unmasking and checking in one pass
)

func maskWins(n int) bool { return n >= maskMin && vectors != scalar }
func utf8Wins(n int) bool {
	return vectors == avx512 && n >= textWide || vectors == avx2 && n >= utf8Min
}
func unmaskWins(n int) bool { return vectors == avx512 && n >= textWide }

// maskVector is mask where maskWins.
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

// utf8Vector says whether b can begin a valid text, as far as neighbours tell, where utf8Wins: the character at the end may be
// incomplete, or its first byte one that never occurs.
func utf8Vector(b []byte) bool {
	if vectors == avx512 {
		return utf8AVX512(&b[0], len(b))
	}
	return utf8AVX2(&b[0], len(b))
}

// unmaskVector unmasks b in the same pass as it checks it like utf8Vector, where unmaskWins.
func unmaskVector(b []byte, key uint32) bool { return unmaskAVX512(&b[0], len(b), key) }
