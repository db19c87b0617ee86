package topic

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestLeavingLargeTopicsCopiesNothing: whoever left a topic whose members had been listed copied
// all of them. A connection that closed, and left 128 topics of 5,000 members by that, made its
// loop compute for 10 to 50 ms.
func TestLeavingLargeTopicsCopiesNothing(t *testing.T) {
	h := &Hub{Options: func(string) Options { return Options{Presence: true} }}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	const topics, members = 16, 1000
	for k := range topics {
		for i := range members {
			h.presence.Join(fmt.Sprint("room", k), Member{ID: fmt.Sprint("member", i)})
		}
	}
	least := uint64(math.MaxUint64)
	for range 3 {
		for k := range topics {
			name := fmt.Sprint("room", k)
			h.Members(name, func([]Member, error) {})
			h.presence.Join(name, Member{ID: "attacker"})
		}
		before := allocated()
		for k := range topics {
			h.presence.Leave(fmt.Sprint("room", k), "attacker")
		}
		least = min(least, (allocated()-before)/topics)
	}
	if least > 4<<10 {
		t.Errorf("%d bytes are allocated by who leaves a topic", least)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestRosterKeepsWhatItHasGiven compares a roster with a map, whatever comes and goes, and what
// others have got with what it was.
func TestRosterKeepsWhatItHasGiven(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		r, want := &roster{places: make(map[string]int)}, make(map[string]string)
		type given struct {
			list []Member
			was  []string
		}
		var all []given
		ids := func(list []Member) (ids []string) {
			for _, m := range list {
				ids = append(ids, m.ID+" "+string(m.Info))
			}
			return slices.Sorted(slices.Values(ids))
		}
		most := 1 + rng.IntN(100)
		for range 300 {
			id := fmt.Sprint(rng.IntN(most))
			switch _, is := want[id]; {
			case rng.IntN(10) == 0:
				list := r.share()
				was := ids(list)
				all = append(all, given{list, was})
				var expected []string
				for id, info := range want {
					expected = append(expected, id+" "+info)
				}
				if slices.Sort(expected); !slices.Equal(was, expected) {
					t.Fatalf("seed %d: the list is %v, want %v", seed, was, expected)
				}
			case is && rng.IntN(4) > 0:
				if m := r.leave(r.places[id]); m.ID != id || string(m.Info) != want[id] {
					t.Fatalf("seed %d: %v has left instead of %s", seed, m, id)
				}
				delete(want, id)
			default:
				info := fmt.Sprint(rng.IntN(2))
				if r.join(Member{ID: id, Info: []byte(info)}) == is {
					t.Fatalf("seed %d: join of %s", seed, id)
				}
				want[id] = info
			}
			if !maps.Equal(placesOf(r), want) {
				t.Fatalf("seed %d: %v, want %v", seed, placesOf(r), want)
			}
		}
		for _, g := range all {
			if now := ids(g.list); !slices.Equal(now, g.was) {
				t.Fatalf("seed %d: the list that was given has become %v, and was %v", seed, now, g.was)
			}
		}
	}
}

// placesOf returns the members by ID.
func placesOf(r *roster) map[string]string {
	all := make(map[string]string)
	for id, i := range r.places {
		if r.list[i].ID == id {
			all[id] = string(r.list[i].Info)
		}
	}
	return all
}
