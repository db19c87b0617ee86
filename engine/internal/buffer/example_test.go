package buffer_test

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/buffer"
)

func Example() {
	var p buffer.Pool
	var q buffer.Queue
	q.Append(&p, []byte("hello, "), buffer.CorkSize)
	b := append(q.Available(&p), "world"...) // in place, without a copy
	q.Commit(b)
	head, _ := q.Head()
	fmt.Printf("%s: %d bytes in %d chunk of %d\n", head, q.Len(), p.Out(), q.Size()-buffer.ChunkCost)

	q.Discard(&p, 7)
	q.Park(&p) // a slow reader gets a chunk that fits
	head, _ = q.Head()
	fmt.Printf("%s: %d bytes in %d chunk of %d\n", head, q.Len(), p.Out(), q.Size()-buffer.ChunkCost)

	q.Discard(&p, 5)
	fmt.Println(q.Empty(), p.Out())
	// Output:
	// hello, world: 12 bytes in 1 chunk of 65536
	// world: 5 bytes in 1 chunk of 512
	// true 0
}
