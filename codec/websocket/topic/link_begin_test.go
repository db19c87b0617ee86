package topic

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// beginningSink counts what begins. It takes a while over some.
type beginningSink struct {
	ear
	begun  int // with the lock of the heir
	begins func(n int)
}

func (s *beginningSink) count() {
	s.begun++
	s.begins(s.begun)
}

func (s *beginningSink) Subscribed(string, Position)        { s.count() }
func (s *beginningSink) Deliver(string, Message)            { s.count() }
func (s *beginningSink) Present(string, []Member, []Member) { s.count() }

// TestTopicsThatArriveDoNotHoldLoops: while 100,000 topics began that had come from another
// process, Publish waited for all of them, on a loop: 75 ms. It was the same with 100,000 members
// or messages, and with topics that begin anew, which took 640 ms for 200,000. What is unsubscribed
// from meanwhile is not subscribed to afterwards.
func TestTopicsThatArriveDoNotHoldLoops(t *testing.T) {
	const all = 8 * beginMax
	give := func(old *link) { old.send(frameEverything, func(b []byte) []byte { return append(b, 0) }) }
	for _, test := range []struct {
		name string
		has  func(old *link, heir *heir, name string)
		ends func(old *link)
	}{
		{"topics", func(old *link, heir *heir, name string) {
			heir.Subscribe(name)
			old.send(frameTopic, func(b []byte) []byte {
				return append(appendPosition(saved.AppendBytes(b, name), Position{7, 1}), 0)
			})
		}, give},
		{"topics that begin anew", func(_ *link, heir *heir, name string) { heir.Subscribe(name) },
			func(old *link) { old.conn.Close() }},
		{"members", func(_ *link, heir *heir, name string) { heir.Join("a", Member{ID: name}) }, give},
		{"messages", func(_ *link, heir *heir, name string) {
			if name == "0" {
				heir.Subscribe("a")
			}
			heir.Publish("a", websocket.Text, nil)
		}, give},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, heir, _ := oldEnd(t)
			go drain(old)
			for n := range all {
				test.has(old, heir, fmt.Sprint(n))
			}
			passed := make(chan int, 1)
			s := &beginningSink{}
			s.begins = func(n int) {
				if n == 2 { // 1 may be a topic
					go func() {
						heir.Publish("other", websocket.Text, nil)
						heir.mu.Lock()
						passed <- s.begun
						heir.mu.Unlock()
						for n := range all {
							heir.Unsubscribe(fmt.Sprint(n))
						}
					}()
				}
				if n%beginMax == 2 {
					time.Sleep(5 * time.Millisecond) // then who waits for the lock is next
				}
			}
			heir.sink, heir.local.sink = s, s
			test.ends(old)
			if n := <-passed; n >= all {
				t.Errorf("Publish waited for all %d", n)
			}
			<-heir.owned
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				left := 0
				for n := range all {
					if lt, _ := heir.local.lock(fmt.Sprint(n), nil); lt != nil {
						if lt.subscribed {
							left++
						}
						lt.mu.Unlock()
					}
				}
				if left == 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d topics are subscribed to", left)
				}
			}
		})
	}
}

// TestLoopsWaitForFewThingsThatBegin: a loop that asked for something while topics began waited a
// millisecond for the lock, each time: 120 ms for a connection with 128 topics.
func TestLoopsWaitForFewThingsThatBegin(t *testing.T) {
	const all, waits = 100_000, 30
	old, heir, _ := oldEnd(t)
	heir.local.limit = 2 * all
	go drain(old)
	var begun atomic.Int64
	started := make(chan bool)
	s := &beginningSink{begins: func(n int) {
		if begun.Store(int64(n)); n == beginMax {
			close(started)
		}
	}}
	heir.sink, heir.local.sink = s, s
	for n := range all {
		heir.mu.Lock()
		heir.topics[fmt.Sprint(n)] = true
		heir.mu.Unlock()
		old.await()
		old.send(frameTopic, func(b []byte) []byte {
			return append(appendPosition(saved.AppendBytes(b, fmt.Sprint(n)), Position{7, 1}), 0)
		})
	}
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	<-started
	var waited []int64 // for so many things
	for n := 0; len(waited) < waits && !heir.own.Load(); n++ {
		before := begun.Load()
		heir.Subscribe("another one")
		if w := begun.Load() - before; w > 0 {
			waited = append(waited, w)
		}
		for next := begun.Load() + beginMax/4; begun.Load() < next && !heir.own.Load(); {
			runtime.Gosched()
		}
	}
	<-heir.owned
	slices.Sort(waited)
	if n := len(waited); n > 0 && waited[n/2] > 2*beginMax {
		t.Errorf("waited for %d things, want at most %d", waited[n/2], 2*beginMax)
	}
}

// drain receives what a heir sends, as an old process that does nothing of it.
func drain(old *link) {
	for {
		if _, _, err := old.receive(); err != nil {
			return
		}
	}
}

// restless is a Sink that calls the heir when something is done for one topic and not yet for all.
type restless struct {
	ear
	call func()
}

func (s *restless) Subscribed(string, Position) {
	if call := s.call; call != nil {
		s.call = nil
		go call()
		time.Sleep(5 * time.Millisecond)
	}
}

// TestHeirIsUsedWhileItBegins: who comes, goes, subscribes or publishes between two topics that
// begin is not forgotten, and does so once.
func TestHeirIsUsedWhileItBegins(t *testing.T) {
	for _, anew := range []bool{false, true} {
		t.Run(fmt.Sprintf("anew %t", anew), func(t *testing.T) {
			old, heir, _ := oldEnd(t)
			heir.local.limit = 1 << 20
			go drain(old)
			for n := range 3 * beginMax {
				heir.Subscribe(fmt.Sprint(n))
				heir.Join("crowd", Member{ID: fmt.Sprint(n)})
			}
			heir.Join("a", Member{ID: "stays"})
			heir.Join("a", Member{ID: "goes"})
			called := make(chan bool)
			s := &restless{call: func() {
				heir.Leave("a", "goes")
				heir.Join("a", Member{ID: "comes"})
				heir.Join("a", Member{ID: "comes back"})
				heir.Subscribe("late")
				heir.Publish("late", websocket.Text, []byte("one"))
				for begins := false; !begins; {
					heir.mu.Lock()
					begins = heir.begins
					heir.mu.Unlock()
				}
				heir.Join("a", Member{ID: "comes late"})
				heir.Leave("a", "comes")
				heir.Subscribe("later")
				heir.Publish("later", websocket.Text, []byte("two"))
				close(called)
			}}
			heir.sink, heir.local.sink = s, s
			if anew {
				old.conn.Close()
			} else {
				old.send(frameRoster, func(b []byte) []byte {
					all := []Member{{ID: "stays"}, {ID: "goes"}, {ID: "comes back"}}
					return appendMembers(saved.AppendBytes(b, "a"), all)
				})
				old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
			}
			<-called
			<-heir.owned
			s.expect(t, "late 0<1 one")
			s.expect(t, "later 0<1 two")
			heir.Members("a", func(all []Member, _ error) {
				present := map[string]bool{"stays": true, "comes": false, "comes back": true, "comes late": true}
				for id, want := range present {
					if slices.ContainsFunc(all, func(m Member) bool { return m.ID == id }) != want {
						t.Errorf("members %v: %q there is not %t", all, id, want)
					}
				}
			})
			heir.Members("crowd", func(all []Member, _ error) {
				if len(all) != 3*beginMax {
					t.Errorf("%d members of a crowd", len(all))
				}
			})
		})
	}
}

// TestTopicsWaitForTheirSubscribers: the last subscribers may arrive when the topics are here
// already. Those of a topic without history, which was taken for one that nobody had used for a
// year, found another position, and were told of a gap.
func TestTopicsWaitForTheirSubscribers(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	ours, theirs := net.Pipe()
	old, l := newLink(ours), newLocal(w, 100, 1<<20)
	heir, e := newHeir(l, newLink(theirs)), new(ear)
	heir.Start(e, func(string) Options { return Options{}.withDefaults() })
	at := Position{7, 1}
	old.send(frameTopic, func(b []byte) []byte {
		b = appendPosition(saved.AppendBytes(b, "a"), at)
		return append(b, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F) // a year
	})
	old.send(frameEverything, func(b []byte) []byte { return append(b, 0) })
	<-heir.owned
	<-heir.link.ended // then nothing is added to the agenda
	w.advance(lentTime / 2)
	heir.Subscribe("a")
	e.expect(t, "a from 1")
	heir.Unsubscribe("a")
	w.advance(lentTime)
	if n := l.len(); n != 0 {
		t.Errorf("%d topics are kept", n)
	}
}
