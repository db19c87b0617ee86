package table

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func (t *Table[T]) check() error {
	used := 0
	for i := range t.entries.Len() {
		if t.entries.At(i).value != nil {
			used++
		}
	}
	free := 0
	for i := t.free; i != 0; i = t.entries.At(i - 1).next {
		if t.entries.At(i-1).value != nil {
			return fmt.Errorf("slot %d is in use and in the free list", i-1)
		}
		if free++; free > int(t.entries.Len()) {
			return fmt.Errorf("the free list is a circle")
		}
	}
	if used != t.n || used+free != int(t.entries.Len()) {
		return fmt.Errorf("%d used, %d free, Len %d, %d slots", used, free, t.n, t.entries.Len())
	}
	return nil
}

func TestTableAgainstMap(t *testing.T) {
	type name struct{ slot, generation uint32 }
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var tab Table[int]
		live, dead := map[name]*int{}, map[name]bool{}
		for step := range 3000 {
			if rng.IntN(5) < 3 {
				v := new(int)
				slot, generation := tab.Insert(v)
				n := name{slot, generation}
				if live[n] != nil || dead[n] || generation == 0 {
					t.Fatalf("name %v was used before", n)
				}
				live[n] = v
			} else {
				for n := range live {
					if !tab.Remove(n.slot, n.generation) || tab.Remove(n.slot, n.generation) {
						t.Fatal("Remove must work once")
					}
					delete(live, n)
					dead[n] = true
					break
				}
			}
			if err := tab.check(); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
		}
		for n, v := range live {
			if tab.Get(n.slot, n.generation) != v || tab.At(n.slot) != v {
				t.Fatalf("%v is lost", n)
			}
		}
		for n := range dead {
			if tab.Get(n.slot, n.generation) != nil {
				t.Fatalf("%v is stale and finds something", n)
			}
		}
		seen := 0
		for v := range tab.All() {
			if v == nil {
				t.Fatal("All yields nil")
			}
			seen++
		}
		if seen != len(live) || tab.Len() != seen {
			t.Fatalf("All yields %d, Len is %d, want %d", seen, tab.Len(), len(live))
		}
	}
}

func TestGenerationSkipsZero(t *testing.T) {
	var tab Table[int]
	slot, generation := tab.Insert(new(int))
	tab.Remove(slot, generation)
	tab.entries.At(slot).generation = 1<<32 - 1
	if _, generation = tab.Insert(new(int)); generation != 1 {
		t.Fatalf("generation %d follows 2^32-1", generation)
	}
}

func TestGetOfForeignName(t *testing.T) {
	var tab Table[int]
	tab.Insert(new(int))
	if tab.Get(5, 1) != nil || tab.Get(1<<31, 1) != nil || tab.Get(0, 0) != nil {
		t.Fatal("found what was never inserted")
	}
}

func TestRemoveWhileWalking(t *testing.T) {
	var tab Table[[2]uint32]
	for range 1000 {
		v := new([2]uint32)
		v[0], v[1] = tab.Insert(v)
	}
	for v := range tab.All() {
		tab.Remove(v[0], v[1])
	}
	if tab.Len() != 0 {
		t.Fatalf("%d are left", tab.Len())
	}
}

func BenchmarkGet(b *testing.B) {
	var tab Table[int]
	for range 1 << 16 {
		tab.Insert(new(int))
	}
	b.ReportAllocs()
	for i := uint32(0); b.Loop(); i++ {
		if tab.Get(i&0xFFFF, 1) == nil {
			b.Fatal("lost")
		}
	}
}
