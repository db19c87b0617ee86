package paged

const (
	pageBits = 9
	pageSize = 1 << pageBits
)

// Array is an array in pages of 512 elements. It grows by whole pages: growing to a million
// elements copies none and leaves no garbage, and the address of an element never changes. The zero
// value is empty. It is for one goroutine.
type Array[T any] struct {
	pages []*[pageSize]T
	n     uint32
}

// At returns element i, which must be below Len.
func (a *Array[T]) At(i uint32) *T { return &a.pages[i>>pageBits][i%pageSize] }

// Len returns the number of elements.
func (a *Array[T]) Len() uint32 { return a.n }

// Grow appends a zero element and returns its index.
func (a *Array[T]) Grow() uint32 {
	i := a.n
	if i>>pageBits == uint32(len(a.pages)) {
		a.pages = append(a.pages, new([pageSize]T))
	}
	a.n++
	return i
}
