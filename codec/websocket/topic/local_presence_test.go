package topic

import (
	"fmt"
	"slices"
	"testing"
)

// TestMembersDoesNotCopyLargeTopics shows that a client which asks for the members of a large topic
// again and again does not block its loop: the list is neither copied nor sorted each time.
func TestMembersDoesNotCopyLargeTopics(t *testing.T) {
	h := &Hub{Options: func(string) Options { return Options{Presence: true} }}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	const members = 10_000
	for i := range members {
		h.presence.Join("room", Member{ID: fmt.Sprint("member", i)})
	}
	if n := testing.AllocsPerRun(10, func() {
		h.Members("room", func(all []Member, err error) {
			if err != nil || len(all) != members {
				t.Error(len(all), err)
			}
		})
	}); n > 1 {
		t.Errorf("%v allocations for a list", n)
	}
}

// TestMembersKeepsWhatItHasGiven shows that a list does not change when members come and go.
func TestMembersKeepsWhatItHasGiven(t *testing.T) {
	h := &Hub{Options: func(string) Options { return Options{Presence: true} }}
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	list := func() (all []Member) {
		h.Members("room", func(got []Member, _ error) { all = got })
		return all
	}
	ids := func(all []Member) (ids []string) {
		for _, m := range all {
			ids = append(ids, m.ID)
		}
		return slices.Sorted(slices.Values(ids))
	}
	join := func(id string) { h.presence.Join("room", Member{ID: id}) }
	join("a")
	join("b")
	before := list()
	join("c")
	h.presence.Leave("room", "a")
	join("d")
	h.presence.Leave("room", "nobody")
	if got := ids(before); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the old list is %v", got)
	}
	if got := ids(list()); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("the new list is %v", got)
	}
	for _, id := range []string{"b", "c", "d"} {
		h.presence.Leave("room", id)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("%v are left", got)
	}
}
