package wsproto

// vectorSet is a set of vector instructions. The kernels in assembly, their thresholds and the
// choice between them are in the files vector_*.
type vectorSet uint8

const (
	scalar vectorSet = iota // none: generic code only
	neon
	avx2
	avx512
)
