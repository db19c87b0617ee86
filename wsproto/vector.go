package wsproto

// vectorSet is a set of vector instructions.
type vectorSet uint8

const (
	scalar vectorSet = iota // none: what every machine can do
	neon
	avx2
	avx512
)
