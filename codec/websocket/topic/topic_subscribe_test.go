package topic

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// faultyBroker is a Hub's own Broker whose Subscribe and Unsubscribe may be replaced.
type faultyBroker struct {
	*local
	subscribe   func(name string) error
	unsubscribe func(name string)
}

func (b *faultyBroker) Subscribe(name string) error {
	if b.subscribe != nil {
		return b.subscribe(name)
	}
	return b.local.Subscribe(name)
}

func (b *faultyBroker) Unsubscribe(name string) {
	if b.unsubscribe != nil {
		b.unsubscribe(name)
	}
	b.local.Unsubscribe(name)
}

func newFaultyBroker() *faultyBroker { return &faultyBroker{local: newLocal(realClock{}, 100, 1<<20)} }

func (l *simLoop) runAll() {
	for len(l.queue) > 0 {
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
	}
}

// TestSubscribeBesideOneThatFails: a loop subscribes while the Broker refuses the subscription of
// another one. It must not believe that it has what the other one did not get.
func TestSubscribeBesideOneThatFails(t *testing.T) {
	b := newFaultyBroker()
	asking, refuse := make(chan struct{}), make(chan struct{})
	var once sync.Once
	refused := errors.New("refused")
	b.subscribe = func(name string) error {
		err := error(nil)
		once.Do(func() {
			close(asking)
			<-refuse
			err = refused
		})
		if err != nil {
			return err
		}
		return b.local.Subscribe(name)
	}
	h := Hub{Broker: b}
	h.start()
	l := [2]*simLoop{{key: 0}, {key: 1}}
	var s [2]*shard
	for i := range s {
		s[i] = h.shard(shardKey{loop: i}, l[i])
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- s[0].subscribe(s[0].join(&stillPeer{}, nil), "t", &SubscribeConfig{}) }()
	<-asking
	m := s[1].join(&stillPeer{}, nil)
	go func() { second <- s[1].subscribe(m, "t", &SubscribeConfig{}) }()
	interested := func() int {
		x := h.find("t")
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.interests)
	}
	for deadline := time.Now().Add(10 * time.Second); interested() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second loop does not subscribe")
		}
	}
	close(refuse)
	if err := <-first; !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	l[1].runAll()
	h.Publish("t", websocket.Text, nil)
	l[1].runAll()
	if n := h.Stats().Delivered; n != 1 {
		t.Errorf("%d messages were delivered to a subscriber, want 1", n)
	}
}

// TestBrokerPanicsInSubscribe: the next subscriber gets messages, and nothing is left of the first.
func TestBrokerPanicsInSubscribe(t *testing.T) {
	b := newFaultyBroker()
	b.subscribe = func(string) error { panic("a Broker that panics") }
	h := Hub{Broker: b}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		s.subscribe(m, "t", &SubscribeConfig{})
	}()
	if n := len(h.find("t").interests); n != 0 {
		t.Errorf("%d loops are left", n)
	}
	if n := len(s.entries.all) - len(s.entries.free); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	b.subscribe = nil
	if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	if n := h.Stats().Delivered; n != 1 {
		t.Errorf("%d messages were delivered, want 1", n)
	}
}

// TestCloseWithinSubscribe: a Hub that closes while somebody subscribes keeps no subscription of
// the Broker.
func TestCloseWithinSubscribe(t *testing.T) {
	for _, test := range []struct {
		name  string
		known bool // the topic has been used before
	}{{"new topic", false}, {"known topic", true}} {
		t.Run(test.name, func(t *testing.T) {
			b := newFaultyBroker()
			h := Hub{Broker: b}
			h.start()
			s := h.shard(shardKey{}, &simLoop{})
			m := s.join(&stillPeer{}, nil)
			b.unsubscribe = func(string) {}
			if test.known {
				if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
				s.remove(m, 0)
			}
			h.Close() // Subscribe has found the Hub open: this is what it goes on with
			if err := s.subscribe(m, "t", &SubscribeConfig{}); !errors.Is(err, ErrClosed) {
				t.Errorf("error %v", err)
			}
			if lt, _ := b.lock("t", nil); lt != nil {
				if lt.subscribed {
					t.Error("the Broker has a subscription")
				}
				lt.mu.Unlock()
			}
		})
	}
}

// TestCloseBeforeAlign: the Hub closes when a loop is interested, and has not asked the Broker yet.
func TestCloseBeforeAlign(t *testing.T) {
	b := newFaultyBroker()
	h := Hub{Broker: b}
	h.start()
	x, err := h.obtain("t")
	if err != nil {
		t.Fatal(err)
	}
	x.interests = append(x.interests, interest{entry: &entry{topic: x}})
	h.Close()
	if err := x.align(); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
	if lt, _ := b.lock("t", nil); lt != nil {
		t.Error("the Broker has a subscription")
	}
}

// TestTopicsThatWereLeftAreNotMany: a client subscribes to one topic after the other, and leaves
// them. Half a million of them stayed for ten seconds, which no budget counted: 400 MB.
func TestTopicsThatWereLeftAreNotMany(t *testing.T) {
	w := &world{t: t, now: time.Unix(1e9, 0)}
	h := &Hub{clock: w}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	for i := range 2 * lingerMax {
		if err := s.subscribe(m, fmt.Sprint(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		s.remove(m, 0)
		l.runAll()
	}
	if n := h.topics.Load(); n > lingerMax {
		t.Errorf("%d topics without subscribers", n)
	}
	w.advance(2 * lingerTime)
	if n, due := h.topics.Load(), h.lingering.Load(); n != 0 || due != 0 {
		t.Errorf("%d topics in the end, %d due", n, due)
	}
}

// TestSubscriptionsDoNotPileUp: a client subscribes to one topic after the other, and leaves them
// before the loop has come to tell it that they have begun. What waited for the loop grew without
// bound, and left no room for the messages of others.
func TestSubscriptionsDoNotPileUp(t *testing.T) {
	h := &Hub{}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	honest := new(countingPeer)
	if err := s.subscribe(s.join(honest, nil), "room", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	m := s.join(&stillPeer{}, nil)
	burst := func() (busy int) {
		for i := range 100_000 {
			switch err := s.subscribe(m, fmt.Sprint(i), &SubscribeConfig{}); err {
			case nil:
				s.remove(m, 0)
			case engine.ErrBusy:
				busy++
			default:
				t.Fatal(err)
			}
		}
		return busy
	}
	busy := burst()
	if n := len(s.inbox.items); n > beginsTimes*h.limits.perConn || busy == 0 {
		t.Errorf("%d items wait for the loop, and %d were refused", n, busy)
	}
	h.Publish("room", websocket.Text, []byte("hello"))
	for turns := 0; honest.messages == 0; turns++ {
		if turns == 10 || len(l.queue) == 0 {
			t.Fatalf("no message in %d turns", turns)
		}
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
	}
	l.runAll()
	if m.begins != 0 {
		t.Errorf("%d topics have not begun", m.begins)
	}
	if err := s.subscribe(m, "another", &SubscribeConfig{}); err != nil {
		t.Error(err)
	}
}

// TestSubscriptionsThatNeverBegin: a Broker does not say that a subscription has begun which has
// ended. It counted for its client for ever.
func TestSubscriptionsThatNeverBegin(t *testing.T) {
	b := newFaultyBroker()
	b.subscribe = func(string) error { return nil }
	h := &Hub{Broker: b}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	for i := range 10 * h.limits.perConn {
		if err := s.subscribe(m, fmt.Sprint(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
		s.remove(m, 0)
	}
	if m.begins != 0 {
		t.Errorf("%d topics have not begun", m.begins)
	}
}
