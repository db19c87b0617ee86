package nats

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestComingAndGoingTakesNoMemory: members come and go while the goroutine of presence waits for a
// server that is stopped. Each call was kept.
func TestComingAndGoingTakesNoMemory(t *testing.T) {
	p := silent(t)
	p.b.once.Do(p.b.init)
	note := func(f func(*presence)) {
		if err := p.request(f); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 {
		id, name := fmt.Sprint(i%100), fmt.Sprint("room", i)
		note(func(p *presence) { p.changes.join("room", topic.Member{ID: id}) })
		note(func(p *presence) { p.changes.leave("room", id) })
		note(func(p *presence) { p.changes.followed(name, true) })
		note(func(p *presence) { p.changes.followed(name, false) })
	}
	if len(p.changes) > 0 {
		t.Errorf("%d topics wait", len(p.changes))
	}
}

// TestChangesOfPresence checks that calls which are done together come to the same as one by one.
func TestChangesOfPresence(t *testing.T) {
	// Each letter is a call: j and l for a member that joins and leaves, J with another Info, f and
	// F for the topic that is followed and no longer is.
	for _, calls := range []string{
		"j", "jl", "jj", "jjl", "jjll", "jljl", "jlj", "jlJ", "l", "lj", "lJl", "jJll", "f", "fF", "fFf", "fj", "jfFl",
		"fjFlj", "jfl", "jflF", "ljf", "lljJfF",
	} {
		for cut := range len(calls) { // what was done before
			one, together := silent(t), silent(t)
			for i := range calls {
				call(one, calls[i:i+1])
			}
			call(together, calls[:cut])
			call(together, calls[cut:])
			a, b := stateOf(one), stateOf(together)
			if a != b {
				t.Errorf("%q: %s, and with %q at a time %s", calls, a, calls[cut:], b)
			}
		}
	}
}

func call(p *presence, calls string) {
	for _, c := range calls {
		switch c {
		case 'j', 'J':
			p.changes.join("room", topic.Member{ID: "ann", Info: []byte(string(c))})
		case 'l':
			p.changes.leave("room", "ann")
		default:
			p.changes.followed("room", c == 'f')
		}
	}
	p.doRequests()
}

// stateOf tells what is known of the room.
func stateOf(p *presence) string {
	r := p.rooms["room"]
	if r == nil {
		return "not followed, nobody there"
	}
	text := "not followed"
	if r.followed {
		text = "followed"
	}
	l := r.local["ann"]
	all := r.all["ann"]
	if (l == nil) != (all == nil) || l != nil && string(l.info) != string(all.info) {
		text += ", all know something else"
	}
	if l == nil {
		return text + ", nobody there"
	}
	return fmt.Sprintf("%s, there %d times as %s", text, l.count, l.info)
}
