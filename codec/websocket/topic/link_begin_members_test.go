package topic

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// TestOthersAreToldWhileTopicsBeginAnew: the old process was dead, and not all topics had begun in
// the new one. Who left then was present for others for good, and who came never was.
func TestOthersAreToldWhileTopicsBeginAnew(t *testing.T) {
	old, heir, _ := oldEnd(t)
	heir.local.limit = 1 << 20
	go drain(old)
	for n := range 3 * beginMax {
		heir.Subscribe(fmt.Sprint(n))
	}
	heir.Join("a", Member{ID: "stays"})
	heir.Join("a", Member{ID: "goes"})
	begun := make(chan bool)
	s := &restless{call: func() {
		heir.Leave("a", "goes")
		heir.Join("a", Member{ID: "comes"})
		heir.Join("a", Member{ID: "passes"})
		heir.Leave("a", "passes")
		heir.mu.Lock()
		begun <- heir.begins
		heir.mu.Unlock()
	}}
	heir.sink, heir.local.sink = s, s
	old.conn.Close()
	if <-begun {
		t.Log("all topics have begun before")
	}
	<-heir.owned
	s.expect(t, "a +0 -1")
	s.expect(t, "a +1 -0")
	heir.Members("a", func(all []Member, _ error) {
		slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
		if len(all) != 2 || all[0].ID != "comes" || all[1].ID != "stays" {
			t.Errorf("members %v", all)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	told := slices.DeleteFunc(slices.Clone(s.all), func(s string) bool { return !strings.HasPrefix(s, "a ") })
	if want := []string{"a +0 -1", "a +1 -0", "a +1 -0", "a +0 -1"}; !slices.Equal(told, want) {
		t.Errorf("others are told %q, want %q", told, want)
	}
}

// TestTopicsThatWereLentLeaveTheirPlaces: topics without history had one while they were taken
// over. Who had left them later found them in the way of others for HistoryAge: ErrTooMany.
func TestTopicsThatWereLentLeaveTheirPlaces(t *testing.T) {
	const limit = 10
	w := &world{t: t, now: time.Unix(1e9, 0)}
	ours, theirs := net.Pipe()
	old, l := newLink(ours), newLocal(w, limit, 1<<20)
	heir := newHeir(l, newLink(theirs))
	heir.Start(new(ear), func(string) Options { return Options{}.withDefaults() })
	for n := range limit {
		at := Position{7, 1}
		old.send(frameTopic, func(b []byte) []byte {
			return append(appendPosition(saved.AppendBytes(b, fmt.Sprint(n)), at), 0)
		})
		old.send(frameKept, func(b []byte) []byte {
			return appendMessage(append(b, 0), &Message{Position: at, Op: websocket.Text})
		})
	}
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	<-heir.owned
	<-heir.link.ended
	for n := range limit {
		heir.Subscribe(fmt.Sprint(n))
	}
	w.advance(lentTime)
	for n := range limit {
		heir.Unsubscribe(fmt.Sprint(n))
	}
	for n := range limit {
		if err := heir.Subscribe(fmt.Sprint("another ", n)); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(2 * defaultHistoryAge)
	if n := l.agenda.all.len(); n > 0 {
		t.Errorf("%d appointments are left", n)
	}
}

// TestMembersThatLeftLeaveNothing: while a process takes over, clients come to topics and leave
// them. Both processes kept the names.
func TestMembersThatLeftLeaveNothing(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	l := newLocal(realClock{}, 100, 1<<20)
	l.sink = new(ear)
	g := &giver{local: l, link: newLink(ours), members: make(map[string]map[string]bool)}
	_, heir, _ := oldEnd(t)
	for n := range 10 {
		name := fmt.Sprint(n)
		b := appendMember(saved.AppendBytes(nil, name), &Member{ID: "1"})
		r := saved.NewReader(b)
		g.do(frameJoin, &r)
		r = saved.NewReader(saved.AppendBytes(saved.AppendBytes(nil, name), "1"))
		g.do(frameLeave, &r)
		heir.Join(name, Member{ID: "1"})
		heir.Leave(name, "1")
	}
	if len(g.members) > 0 || len(heir.members) > 0 {
		t.Errorf("%d topics are left in the old process, %d in the new one", len(g.members), len(heir.members))
	}
}

// TestMembersAreGivenInParts: connections that leave wait for the lock.
func TestMembersAreGivenInParts(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	l := newLocal(realClock{}, 100, 1<<20)
	l.sink = new(ear)
	for n := range 2 * beginMax {
		l.Join(fmt.Sprint(n), Member{ID: "1"})
	}
	g := &giver{local: l, link: newLink(ours)}
	parts := 1
	for !g.giveMembers() {
		parts++
	}
	if parts < 2 || len(l.presence.all) > 0 {
		t.Errorf("%d parts, and %d topics are left", parts, len(l.presence.all))
	}
}
