package wsproto

import "slices"

// allVectors are the sets of instructions that this machine has.
func allVectors() []vectorSet {
	sets := []vectorSet{scalar, avx2, avx512}
	return sets[:slices.Index(sets, detectVectors())+1]
}

func force(set vectorSet) { vectors = set }

// kernels are the functions in assembly that this machine can run.
func kernels() []kernel {
	all := []kernel{
		{name: "maskAVX2", set: avx2, least: 32, mask: func(b []byte, key uint32) { maskAVX2(&b[0], len(b), key) }},
		{name: "maskTextAVX2", set: avx2, least: 32,
			maskText: func(b []byte, key uint32) bool { return maskTextAVX2(&b[0], len(b), key) }},
		{name: "maskAVX512", set: avx512, least: 64,
			mask: func(b []byte, key uint32) { maskAVX512(&b[0], len(b), key) }},
		{name: "utf8AVX2", set: avx2, least: 35, utf8: func(b []byte) bool { return utf8AVX2(&b[0], len(b)) }},
		{name: "utf8AVX512", set: avx512, least: 1, utf8: func(b []byte) bool { return utf8AVX512(&b[0], len(b)) }},
		{name: "unmaskAVX512", set: avx512, least: 1,
			unmask: func(b []byte, key uint32) bool { return unmaskAVX512(&b[0], len(b), key) }},
	}
	return slices.DeleteFunc(all, func(k kernel) bool { return k.set > detectVectors() })
}
