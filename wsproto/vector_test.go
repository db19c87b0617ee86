package wsproto

import (
	"slices"
	"unsafe"
)

// kernel is a function in assembly, to be called with no fewer than least bytes. One of the
// functions is set.
type kernel struct {
	name     string
	set      vectorSet
	least    int
	mask     func(b []byte, key uint32)
	maskText func(b []byte, key uint32) bool
	utf8     func(b []byte) bool
	unmask   func(b []byte, key uint32) bool
}

// names are those of vectorSets.
var names = [...]string{scalar: "scalar", neon: "NEON", avx2: "AVX2", avx512: "AVX512"}

// widest is what is in use if no test forces anything else.
func widest() vectorSet { return slices.Max(allVectors()) }

// EachVectors calls f with each set of instructions in use that this machine has, from the
// narrowest to the widest, which stays in use.
func EachVectors(f func(name string)) {
	for _, set := range allVectors() {
		force(set)
		f(names[set])
	}
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
