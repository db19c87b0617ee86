package wsproto

// vectorMin is the length from which vectors win, measured by BenchmarkMask.
const vectorMin = 96

// useVectors is set once; tests change it to force the generic code.
var useVectors = detectAVX2()

// detectAVX2 asks the processor, and whether the operating system saves the upper halves of the registers (Intel SDM
// volume 1, section 14.3).
func detectAVX2() bool {
	const osxsave, avx, avx2, ymmState = 1 << 27, 1 << 28, 1 << 5, 0b110
	if most, _, _, _ := cpuid(0, 0); most < 7 {
		return false
	}
	_, _, c, _ := cpuid(1, 0)
	if c&(osxsave|avx) != osxsave|avx || xgetbv()&ymmState != ymmState {
		return false
	}
	_, b, _, _ := cpuid(7, 0)
	return b&avx2 != 0
}

// maskVector takes at least 32 bytes.
func maskVector(b []byte, key uint32) { maskAVX2(&b[0], len(b), key) }
