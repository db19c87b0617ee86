package table

import (
	"iter"

	"github.com/myriadnet/myriad/engine/internal/paged"
)

// Table maps names, each of a slot and a generation, to *T. A free slot is used again, the last one
// freed first, so that few pages are in use. Its generation grows each time, so that an old name
// finds nothing. The zero value is empty. It is for one goroutine. An entry is 16 bytes.
type Table[T any] struct {
	entries paged.Array[entry[T]]
	free    uint32 // 1 + the first free slot; 0: none
	n       int
}

type entry[T any] struct {
	value      *T // nil: free
	generation uint32
	next       uint32 // if free: as Table.free
}

// Insert gives v a name. Generations begin at 1 and are never 0.
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

// Get returns what has this name, nil if it was removed.
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

// At returns what has the slot now, nil if nothing has.
func (t *Table[T]) At(slot uint32) *T { return t.entries.At(slot).value }

// Slots returns the number of slots, free ones included.
func (t *Table[T]) Slots() uint32 { return t.entries.Len() }

// Remove frees the name. It reports whether there was one.
func (t *Table[T]) Remove(slot, generation uint32) bool {
	if t.Get(slot, generation) == nil {
		return false
	}
	e := t.entries.At(slot)
	e.value, e.next, t.free = nil, t.free, slot+1
	t.n--
	return true
}

// Len returns the number of names in use.
func (t *Table[T]) Len() int { return t.n }

// All yields everything in the table. Names may be removed meanwhile.
func (t *Table[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range t.entries.Len() {
			if v := t.entries.At(i).value; v != nil && !yield(v) {
				return
			}
		}
	}
}
