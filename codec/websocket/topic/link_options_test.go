package topic

import (
	"bytes"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestOptionsThatPanicDuringHandover: the goroutines of a link call Hub.Options, and nobody else
// catches what that panics with. It ended the process, or the link for good.
func TestOptionsThatPanicDuringHandover(t *testing.T) {
	for _, test := range []struct {
		name    string
		options func(string) Options
	}{
		{"panic", func(string) Options { panic("Options") }},
		{"Goexit", func(string) Options {
			runtime.Goexit()
			return Options{}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, l, oldEar, heir, newEar, _, moved := linked(t)
			if err := l.Subscribe("a"); err != nil {
				t.Fatal(err)
			}
			l.options = test.options
			heir.local.options = test.options
			heir.Subscribe("b")
			newEar.expect(t, "b from 0")
			if err := heir.Publish("c", 1, nil); err != nil {
				t.Fatal(err)
			}
			say(t, heir, "one")
			oldEar.expect(t, "a 0<1 one")
			heir.Subscribe("a")
			newEar.expect(t, "a from 1")
			close(moved)
			<-heir.owned
			say(t, heir, "two")
			newEar.expect(t, "a 1<2 two")
		})
	}
}

// TestSubscribersOfNewProcessBesideManyTopics: the old process has as many topics as it may. Those
// that the new one subscribes to begin all the same: they waited, and nobody was told.
func TestSubscribersOfNewProcessBesideManyTopics(t *testing.T) {
	_, l, _, heir, newEar, _, moved := linked(t)
	if err := l.Subscribe("kept"); err != nil {
		t.Fatal(err)
	}
	l.limit, heir.local.limit = 1, 1
	heir.Subscribe("a")
	newEar.expect(t, "a from 0")
	say(t, heir, "one")
	newEar.expect(t, "a 0<1 one")
	if err := l.Subscribe("b"); err != ErrTooMany {
		t.Errorf("in the old process: %v", err)
	}
	close(moved)
	<-heir.owned
	say(t, heir, "two")
	newEar.expect(t, "a 1<2 two")
	if err := heir.Subscribe("b"); err != ErrTooMany {
		t.Errorf("in the new process: %v", err)
	}
}

// TestMembersThatPanicDuringHandover: the goroutine of a link calls what Hub.Members was given.
// What that panics with ended the process.
func TestMembersThatPanicDuringHandover(t *testing.T) {
	for _, test := range []struct {
		name string
		done func([]Member, error)
	}{
		{"panic", func([]Member, error) { panic("done") }},
		{"Goexit", func([]Member, error) { runtime.Goexit() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, l, _, heir, newEar, _, moved := linked(t)
			l.Join("a", Member{ID: "1"})
			answered := make(chan int, 1)
			heir.Members("a", test.done)
			heir.Members("a", test.done)
			heir.Members("a", func(all []Member, _ error) { answered <- len(all) })
			if n := <-answered; n != 1 {
				t.Errorf("%d members", n)
			}
			close(moved)
			<-heir.owned
			heir.Subscribe("a")
			newEar.expect(t, "a from 0")
		})
	}
}

// TestTopicsThatBeginAnewAreLogged: a process that starts while the one before still waits for its
// topics gets none of them. Neither of the two said so.
func TestTopicsThatBeginAnewAreLogged(t *testing.T) {
	var log syncBuffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	ours, theirs := net.Pipe()
	ours.Close()
	h := new(Hub)
	t.Cleanup(h.Close)
	if err := h.Take(theirs); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, "begin anew") {
		t.Errorf("the log has %q", text)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
