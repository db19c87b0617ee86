package topic

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// ear is a Sink that notes what it is told, without epochs.
type ear struct {
	mu  sync.Mutex
	all []string
}

func (e *ear) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf(format, args...))
}

func (e *ear) Subscribed(name string, at Position) { e.note("%s from %d", name, at.Seq) }
func (e *ear) Deliver(name string, m Message)      { e.note("%s %d<%d %s", name, m.Prev, m.Seq, m.Data) }
func (e *ear) Lost(name string)                    { e.note("%s lost", name) }
func (e *ear) Present(name string, joined, left []Member) {
	e.note("%s +%d -%d", name, len(joined), len(left))
}

// expect waits for a note.
func (e *ear) expect(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		e.mu.Lock()
		all := slices.Clone(e.all)
		e.mu.Unlock()
		if slices.Contains(all, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, want %q", all, text)
		}
	}
}

// linked returns the broker of an old process, which is giving, and that of a new one.
func linked(t *testing.T) (old *Hub, l *local, oldEar *ear,
	heir *heir, newEar *ear, conn net.Conn, moved chan struct{}) {
	t.Helper()
	oldEar, newEar, moved = new(ear), new(ear), make(chan struct{})
	old = new(Hub)
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	l = old.local()
	l.sink = oldEar
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		old.Give(ours, moved)
	}()
	t.Cleanup(func() {
		theirs.Close()
		<-done
	})
	k := newLink(theirs)
	if _, r, err := k.receive(); err != nil || r.Byte() != linkFormat {
		t.Fatal(err)
	}
	mine := newLocal(realClock{}, 100, 1<<20)
	t.Cleanup(mine.close)
	heir = newHeir(mine, k)
	if err := heir.Start(newEar, func(string) Options { return Options{}.withDefaults() }); err != nil {
		t.Fatal(err)
	}
	return old, l, oldEar, heir, newEar, theirs, moved
}

func say(t *testing.T, b Broker, text string) {
	t.Helper()
	if err := b.Publish("a", websocket.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestTopicsMoveWithTheirPositions: the brokers of both processes have one order, before the topics
// have moved and after.
func TestTopicsMoveWithTheirPositions(t *testing.T) {
	old, l, oldEar, heir, newEar, _, moved := linked(t)
	l.Subscribe("a")
	say(t, l, "one")
	heir.Subscribe("a")
	newEar.expect(t, "a from 1")
	say(t, heir, "two")
	oldEar.expect(t, "a 1<2 two")
	newEar.expect(t, "a 1<2 two")
	l.Join("a", Member{ID: "1"})
	newEar.expect(t, "a +1 -0")
	heir.Join("a", Member{ID: "1"})
	close(moved)
	<-heir.owned
	say(t, heir, "three")
	newEar.expect(t, "a 2<3 three")
	if err := old.Publish("a", websocket.Text, nil); err != engine.ErrHandedOver {
		t.Errorf("in the old process: %v", err)
	}
	heir.History("a", heir.local.topicAt("a", 1), 10, func(msgs []Message, complete bool, err error) {
		if len(msgs) != 2 || !complete || err != nil {
			t.Errorf("%d messages, complete %t, %v", len(msgs), complete, err)
		}
	})
	if slices.Contains(newEar.all, "a +0 -1") {
		t.Errorf("%q", newEar.all)
	}
}

// topicAt returns a position of a topic's epoch.
func (l *local) topicAt(name string, seq uint64) Position {
	t, _ := l.lock(name, nil)
	defer t.mu.Unlock()
	return Position{t.last.Epoch, seq}
}

// TestTopicsBeginAnewIfTheOldProcessDies: what was subscribed to is subscribed to again, in another
// epoch, and what was asked is answered.
func TestTopicsBeginAnewIfTheOldProcessDies(t *testing.T) {
	_, l, _, heir, newEar, conn, _ := linked(t)
	say(t, heir, "lost")
	heir.Subscribe("a")
	newEar.expect(t, "a from 0")
	epoch := l.topicAt("a", 0).Epoch
	say(t, heir, "one")
	newEar.expect(t, "a 0<1 one")
	conn.Close()
	<-heir.owned
	say(t, heir, "two")
	newEar.expect(t, "a 0<1 two")
	if heir.local.topicAt("a", 0).Epoch == epoch {
		t.Error("the epoch is the same")
	}
}

// TestMembersLeaveWithANewProcessThatDies: the old process goes on alone.
func TestMembersLeaveWithANewProcessThatDies(t *testing.T) {
	_, l, oldEar, heir, _, conn, _ := linked(t)
	l.Join("a", Member{ID: "1"})
	heir.Join("a", Member{ID: "1"})
	heir.Join("b", Member{ID: "2"})
	oldEar.expect(t, "b +1 -0")
	conn.Close()
	oldEar.expect(t, "b +0 -1")
	if slices.Contains(oldEar.all, "a +0 -1") {
		t.Errorf("%q", oldEar.all)
	}
	say(t, l, "one")
}

// TestPublishesThatWereNotTakenAreNotLost: what the old process has not got when it gives its
// topics away is published in the new one, once.
func TestPublishesThatWereNotTakenAreNotLost(t *testing.T) {
	ours, theirs := net.Pipe()
	old := newLink(ours)
	l := newLocal(realClock{}, 100, 1<<20)
	t.Cleanup(l.close)
	heir, e := newHeir(l, newLink(theirs)), new(ear)
	heir.Start(e, func(string) Options { return Options{History: 5}.withDefaults() })
	heir.Subscribe("a")
	say(t, heir, "one")
	say(t, heir, "two")
	for range 3 {
		if _, _, err := old.receive(); err != nil {
			t.Fatal(err)
		}
	}
	m := Message{Position: Position{7, 1}, Op: websocket.Text, Data: []byte("one")}
	send := func(kind byte, head []byte, end func([]byte) []byte) {
		old.send(kind, func(b []byte) []byte { return end(append(b, head...)) })
	}
	send(frameSubscribed, []byte("\x01a"), func(b []byte) []byte { return appendPosition(b, Position{7, 0}) })
	send(frameDeliver, []byte("\x01a"), func(b []byte) []byte { return appendMessage(b, &m) })
	send(frameTopic, []byte("\x01a"), func(b []byte) []byte { return append(appendPosition(b, m.Position), 0) })
	send(frameKept, []byte{0}, func(b []byte) []byte { return appendMessage(b, &m) })
	send(frameEverything, []byte{1}, func(b []byte) []byte { return b })
	e.expect(t, "a 1<2 two")
	if len(e.all) != 4 { // the position twice: before, and when the topics are here
		t.Errorf("%q", e.all)
	}
}
