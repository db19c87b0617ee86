package paged

import (
	"testing"
	"unsafe"
)

func TestGrowMovesNothing(t *testing.T) {
	var a Array[int]
	var at []*int
	for i := range uint32(5 * pageSize) {
		if got := a.Grow(); got != i || a.Len() != i+1 {
			t.Fatalf("Grow returned %d and Len is %d after %d", got, a.Len(), i)
		}
		if *a.At(i) != 0 {
			t.Fatal("not zero")
		}
		*a.At(i) = int(i)
		at = append(at, a.At(i))
	}
	for i, p := range at {
		if a.At(uint32(i)) != p || *p != i {
			t.Fatalf("element %d has moved or changed", i)
		}
	}
}

func TestPagesAreFull(t *testing.T) {
	if n := unsafe.Sizeof([pageSize][16]byte{}); n != 8192 {
		t.Fatalf("a page of 16-byte entries is %d bytes: want a size class without slack", n)
	}
}
