// Package table gives things short names that tell when the thing is gone: a slot and a generation.
package table

import (
	"iter"

	"github.com/myriadnet/myriad/engine/internal/paged"
)

// Table maps (slot, generation) to *T. A slot is used again as soon as it is free, the last one freed first, which keeps
// few pages warm; its generation grows each time, so that an old name finds nothing. The zero value is empty. It is for
// one goroutine. An entry is 16 bytes.
type Table[T any] struct {
	entries paged.Array[entry[T]]
	free    uint32 // 1 + the first free slot; 0: none
	n       int
}

type entry[T any] struct {
	value      *T // nil: free
	generation uint32
	next       uint32 // while free: as Table.free
}

// Insert gives v a name. Generations begin at 1, and are never 0.
func (t *Table[T]) Insert(v *T) (slot, generation uint32) {
	if t.free != 0 {
		slot = t.free - 1
		t.free = t.entries.At(slot).next
	} else {
		slot = t.entries.Grow()
	}
	e := t.entries.At(slot)
	e.value = v
	if e.generation++; e.generation == 0 {
		e.generation = 1
	}
	t.n++
	return slot, e.generation
}

// Get is what was inserted under this name, nil if it was removed since.
func (t *Table[T]) Get(slot, generation uint32) *T {
	if slot >= t.entries.Len() {
		return nil
	}
	e := t.entries.At(slot)
	if e.generation != generation {
		return nil
	}
	return e.value
}

// At is what has the slot now, nil if nothing has.
func (t *Table[T]) At(slot uint32) *T { return t.entries.At(slot).value }

// Remove frees the name and says whether there was something to free.
func (t *Table[T]) Remove(slot, generation uint32) bool {
	if t.Get(slot, generation) == nil {
		return false
	}
	e := t.entries.At(slot)
	e.value, e.next, t.free = nil, t.free, slot+1
	t.n--
	return true
}

// Len is the number of names in use.
func (t *Table[T]) Len() int { return t.n }

// All yields everything in the table. Entries may be removed meanwhile.
func (t *Table[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range t.entries.Len() {
			if v := t.entries.At(i).value; v != nil && !yield(v) {
				return
			}
		}
	}
}
