package nats

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestMemberComesBackAsAnother: a member has another Info when it comes back, to the same node
// before others were told that it had left, or to another node. Nobody was told, for as long as it
// was there.
func TestMemberComesBackAsAnother(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	is := func(want string) {
		t.Helper()
		for i := range r {
			until(t, "all know "+want, func() bool {
				r[i].mu.Lock()
				defer r[i].mu.Unlock()
				return r[i].present["room"]["ann"] == want
			})
			all := make(chan []topic.Member, 1)
			b[i].Members("room", func(list []topic.Member, _ error) { all <- list })
			if list := <-all; len(list) != 1 || string(list[0].Info) != want {
				t.Errorf("node %d has %q, want %s", i, list, want)
			}
		}
	}
	ann := func(info string) topic.Member { return topic.Member{ID: "ann", Info: []byte(info)} }
	if err := b[0].Join("room", ann("one")); err != nil {
		t.Fatal(err)
	}
	is("one")
	err := b[0].presence.request(func(p *presence) { // as when the goroutine waits for the server
		p.changes.leave("room", "ann")
		p.changes.join("room", ann("two"))
	})
	if err != nil {
		t.Fatal(err)
	}
	is("two")
	if err := b[1].Join("room", ann("three")); err != nil {
		t.Fatal(err)
	}
	is("three")
	b[0].Leave("room", "ann")
	b[0].presence.announceAll()
	if err := b[0].Join("room", topic.Member{ID: "bob", Info: []byte("last")}); err != nil {
		t.Fatal(err)
	}
	for i := range r { // what a node says comes in order
		until(t, "all know bob", func() bool {
			r[i].mu.Lock()
			defer r[i].mu.Unlock()
			return r[i].present["room"]["bob"] == "last"
		})
		r[i].mu.Lock()
		if got := r[i].present["room"]["ann"]; got != "three" {
			t.Errorf("node %d knows ann as %q, want three", i, got)
		}
		r[i].mu.Unlock()
	}
}

// TestNewsOfMembers checks that the Sink is told what has come to be, and nothing that it knows.
func TestNewsOfMembers(t *testing.T) {
	for _, c := range []struct{ steps, before, want string }{
		{"a", "", "a"}, {"aa", "", "a"}, {"ab", "", "b"}, {"a-", "", ""}, {"ab-", "", ""}, {"a-b", "", "b"},
		{"-", "a", "-"}, {"-a", "a", ""}, {"-b", "a", "b"}, {"b", "a", "b"}, {"ba", "a", ""}, {"b-", "a", "-"},
		{"-b-", "a", "-"}, {"b-b", "a", "b"}, {"b-a", "a", ""}, {"-bc", "a", "c"},
	} {
		r := silent(t).room("room")
		n := r.node("other")
		r.add1(n, c.before)
		r.news = nil // it was told
		for i := range c.steps {
			r.add1(n, c.steps[i:i+1])
		}
		got := ""
		if now, ok := r.news["ann"]; ok && now.left {
			got = "-"
		} else if ok {
			got = string(now.member.Info)
		}
		if got != c.want {
			t.Errorf("%s behind %q: news %q, want %q", c.steps, c.before, got, c.want)
		}
	}
}

// add1 makes ann be there with an Info, or leave for "-".
func (r *room) add1(n *roomNode, info string) {
	switch info {
	case "":
	case "-":
		r.drop(n, "ann")
	default:
		r.add(n, topic.Member{ID: "ann", Info: []byte(info)})
	}
}
