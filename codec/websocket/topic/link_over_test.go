package topic

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// countingSink counts what it is told, and takes a while over some. It is told with the lock of the
// heir.
type countingSink struct {
	ear
	told  int
	hears func(n int)
}

func (s *countingSink) Subscribed(string, Position) { s.hear() }
func (s *countingSink) Deliver(_ string, m Message) {
	s.hear()
	s.note("%s", m.Data)
}
func (s *countingSink) Present(string, []Member, []Member) { s.hear() }

func (s *countingSink) hear() {
	s.told++
	s.hears(s.told)
}

// TestTakingOverDoesNotHoldLoops: while a process takes topics over, Publish waited on loops until
// all was done: 0.5 s for 100,000 topics when the old process has died, 0.2 s for 100,000 members,
// and 50 ms for 60,000 messages that the old process has not taken. What is published meanwhile is
// not lost.
func TestTakingOverDoesNotHoldLoops(t *testing.T) {
	const many = 16 * beginMax
	everything := func(old *link) { old.send(frameEverything, func(b []byte) []byte { return append(b, 0) }) }
	for _, test := range []struct {
		name string
		ask  func(h *heir, n int)
		end  func(old *link)
	}{
		{"topics of a process that has died", func(h *heir, n int) { h.Subscribe(fmt.Sprint(n)) },
			func(old *link) { old.conn.Close() }},
		{"members", func(h *heir, n int) { h.Join("members", Member{ID: fmt.Sprint(n)}) }, everything},
		{"messages", func(h *heir, n int) { h.Publish("other", websocket.Text, nil) }, everything},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, heir, _ := oldEnd(t)
			go func() {
				for {
					if _, _, err := old.receive(); err != nil {
						return
					}
				}
			}()
			heir.Subscribe("other")
			for n := range many {
				test.ask(heir, n)
			}
			published := make(chan int, 1)
			s := &countingSink{}
			s.hears = func(n int) {
				if n == 1 {
					starts := make(chan struct{})
					go func() {
						close(starts)
						heir.Publish("other", websocket.Text, []byte("meanwhile"))
						heir.mu.Lock()
						published <- s.told
						heir.mu.Unlock()
					}()
					<-starts
				}
				if n%beginMax == 1 {
					time.Sleep(5 * time.Millisecond) // then who waits for the lock is next
				}
			}
			heir.sink, heir.local.sink = s, s
			test.end(old)
			if n := <-published; n >= many {
				t.Errorf("Publish waited for all %d", n)
			}
			<-heir.owned
			s.expect(t, "meanwhile")
		})
	}
}

// TestMembersWhoLeaveWhileTopicsBegin: a member that was made to join again leaves at once, and one
// that comes back then is not taken for one that the old process has left behind.
func TestMembersWhoLeaveWhileTopicsBegin(t *testing.T) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	l := newLocal(realClock{}, 100, 1<<20)
	t.Cleanup(l.close)
	l.options = func(string) Options { return Options{Presence: true}.withDefaults() }
	heir, p := newHeir(l, newLink(theirs)), &l.presence
	heir.members["a"] = make(map[string]heirMember)
	for n, id := range []string{"stays", "leaves", "comes back"} {
		heir.members["a"][id] = heirMember{Member{ID: id}, uint64(n + 1)}
		if id != "stays" {
			p.obtain("a").join(Member{ID: id})
		}
	}
	for range 16 * beginMax {
		heir.sent = append(heir.sent, publish{topic: "other", op: websocket.Text})
	}
	heir.topics["other"] = true
	left := make(chan struct{})
	s := &countingSink{}
	s.hears = func(n int) {
		switch {
		case n == 5: // the members are here, and there is more to do
			starts := make(chan struct{})
			go func() {
				defer close(left)
				close(starts)
				heir.Leave("a", "leaves")
				heir.Leave("a", "comes back")
			}()
			<-starts
		case n%beginMax != 1:
			return
		}
		time.Sleep(5 * time.Millisecond) // then who waits for the lock is next
	}
	l.sink = s
	lists := p.lists()
	heir.mu.Lock()
	here := heir.takeOver()
	<-left
	heir.Join("a", Member{ID: "comes back"})
	if all := strangersOf(lists, here); len(all) > 0 {
		t.Errorf("%v are taken for others", all)
	}
	heir.Members("a", func(all []Member, err error) {
		if len(all) != 2 || err != nil {
			t.Errorf("%v, %v; want two members", all, err)
		}
	})
}
