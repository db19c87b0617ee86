package table_test

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/table"
)

func Example() {
	var t table.Table[string]
	ada, bob := "Ada", "Bob"
	slot, generation := t.Insert(&ada)
	fmt.Println(slot, generation, *t.Get(slot, generation))

	t.Remove(slot, generation)
	newSlot, newGeneration := t.Insert(&bob) // the same slot, another name
	fmt.Println(newSlot, newGeneration, *t.Get(newSlot, newGeneration))
	fmt.Println("stale name:", t.Get(slot, generation))
	// Output:
	// 0 1 Ada
	// 0 2 Bob
	// stale name: <nil>
}
