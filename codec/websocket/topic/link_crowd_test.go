package topic

import (
	"encoding/binary"
	"math"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// oldEnd returns the end of a link that an old process has, and the broker of the new one.
func oldEnd(t *testing.T) (old *link, h *heir, e *ear) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	l := newLocal(realClock{}, 100, 1<<20)
	t.Cleanup(l.close)
	old, h, e = newLink(ours), newHeir(l, newLink(theirs)), new(ear)
	h.Start(e, func(string) Options { return Options{Presence: true}.withDefaults() })
	return old, h, e
}

// next expects a frame.
func (k *link) next(t *testing.T, want byte) saved.Reader {
	t.Helper()
	kind, r, err := k.receive()
	if err != nil || kind != want {
		t.Fatalf("a frame of type %d, %v; want %d", kind, err, want)
	}
	return r
}

// TestMembersAreAskedForOnceAtATime: all connections that arrive ask who is present. An answer for
// each of them made the link too slow, and the topics began anew.
func TestMembersAreAskedForOnceAtATime(t *testing.T) {
	old, heir, _ := oldEnd(t)
	answered := make(chan int, 100)
	ask := func() { heir.Members("a", func(all []Member, err error) { answered <- len(all) }) }
	answer := func(r saved.Reader, all ...Member) {
		old.send(frameMembersAre, func(b []byte) []byte {
			return appendMembers(binary.AppendUvarint(b, r.Uvarint(math.MaxUint64)), all)
		})
	}
	for range 50 {
		ask()
	}
	answer(old.next(t, frameMembers), Member{ID: "1"})
	answer(old.next(t, frameMembers), Member{ID: "1"}, Member{ID: "2"})
	for i := range 50 {
		want := 2
		if i == 0 {
			want = 1
		}
		if got := <-answered; got != want {
			t.Fatalf("answer %d has %d members, want %d", i, got, want)
		}
	}
	ask()
	old.next(t, frameMembers)
	ask() // and both are asked at home, when the topics are there
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	for range 2 {
		if got := <-answered; got != 0 {
			t.Errorf("%d members at home, want none", got)
		}
	}
}

// TestMembersWhoJoinWhileTopicsMoveAreNotLost: the old process does not read any more what it is
// told while it gives its topics away.
func TestMembersWhoJoinWhileTopicsMoveAreNotLost(t *testing.T) {
	old, heir, e := oldEnd(t)
	heir.Join("a", Member{ID: "here already"})
	heir.Join("a", Member{ID: "late"})
	old.next(t, frameJoin)
	old.next(t, frameJoin)
	old.send(frameRoster, func(b []byte) []byte {
		return appendMembers(saved.AppendBytes(b, "a"), []Member{{ID: "here already"}})
	})
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	<-heir.owned
	heir.Members("a", func(all []Member, err error) {
		if len(all) != 2 || err != nil {
			t.Errorf("%v, %v; want two members", all, err)
		}
	})
	e.expect(t, "a +1 -0")
}

// TestManyQuestionsDoNotBreakALink: the answers to clients that want all of a history are far
// larger than what they ask. They waited for the new process without a limit but that of the link,
// and when they exceeded it, it broke: histories were lost.
func TestManyQuestionsDoNotBreakALink(t *testing.T) {
	_, l, _, heir, _, _, moved := linked(t)
	l.lend() // so that there is a history
	defer l.endLending()
	l.Subscribe("a")
	for range 16 {
		l.Publish("a", websocket.Binary, make([]byte, 60<<10))
	}
	l.presence.mu.Lock()
	old := l.presence.givers[0].link
	l.presence.mu.Unlock()

	const questions = 100 // for 96 MB
	busy := make(chan struct{})
	results := make(chan bool, questions)
	for i := range questions {
		heir.History("a", Position{}, 100, func(msgs []Message, complete bool, err error) {
			if i == 0 {
				<-busy // nothing more is read from the link
			}
			results <- len(msgs) == 16 && complete && err == nil
		})
	}
	// until the old process does not go on
	for last, same := -1, 0; same < 100; time.Sleep(time.Millisecond) {
		old.mu.Lock()
		n := len(old.queue)
		old.mu.Unlock()
		if n == last {
			same++
		} else {
			last, same = n, 0
		}
	}
	close(busy)
	for i := range questions {
		if !<-results {
			t.Fatalf("answer %d is not complete", i)
		}
	}
	close(moved)
	<-heir.owned
	if got := heir.local.topicAt("a", 0).Epoch; got != l.epoch.Load() {
		t.Errorf("epoch %d, want that of the old process, %d", got, l.epoch.Load())
	}
}
