package paged_test

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/paged"
)

func Example() {
	var a paged.Array[string]
	first := a.At(a.Grow())
	*first = "here"
	for range 100_000 {
		a.Grow()
	}
	fmt.Println(a.Len(), *a.At(0), a.At(0) == first)
	// Output: 100001 here true
}
