package wsproto

import (
	"slices"
	"unsafe"
)

// kernel is a function in assembly, for slices of at least so many bytes. One of the functions is
// set.
type kernel struct {
	name     string
	set      vectorSet
	least    int
	mask     func(b []byte, key uint32)
	maskText func(b []byte, key uint32) bool
	utf8     func(b []byte) bool
	unmask   func(b []byte, key uint32) bool
}

// names has the names of the vectorSets.
var names = [...]string{scalar: "scalar", neon: "NEON", avx2: "AVX2", avx512: "AVX512"}

// widest returns the set that is in use unless a test forces another one.
func widest() vectorSet { return slices.Max(allVectors()) }

// EachVectors calls f with each set of instructions that this machine has in use, from the
// narrowest to the widest, which stays in use.
func EachVectors(f func(name string)) {
	for _, set := range allVectors() {
		force(set)
		f(names[set])
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
