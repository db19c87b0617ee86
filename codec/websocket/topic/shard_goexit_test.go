package topic

import (
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
)

// exitingLeave is a Broker that ends the goroutine.
type exitingLeave struct {
	*faultyBroker
	left []string
}

func (b *exitingLeave) Leave(name, _ string) {
	b.left = append(b.left, name)
	runtime.Goexit()
}

// TestGoexitInLeave: a member leaves all its topics, also if the Broker calls runtime.Goexit. Those
// behind the first one were never left, and the shard stayed.
func TestGoexitInLeave(t *testing.T) {
	b := &exitingLeave{newFaultyBroker(), nil}
	h := Hub{Broker: b, Options: func(string) Options { return Options{Presence: true} }}
	h.start()
	t.Cleanup(h.Close)
	s := h.shard(shardKey{}, &simLoop{})
	m := s.join(&stillPeer{}, nil)
	for _, name := range []string{"a", "b", "c"} {
		if err := s.subscribe(m, name, &SubscribeConfig{Member: &Member{ID: "me"}}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.leave()
	}()
	<-ended
	if len(b.left) != 3 || len(s.names) != 0 || s.members != 0 {
		t.Errorf("left %q, %d entries and %d members are left", b.left, len(s.names), s.members)
	}
	if n := h.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

// TestGoexitInUnsubscribe: Hub.Close ends all topics, also if the Broker calls runtime.Goexit. The
// goroutine that called Close ended with the first one, and the others stayed with the Broker.
func TestGoexitInUnsubscribe(t *testing.T) {
	b := newFaultyBroker()
	left := 0
	b.unsubscribe = func(string) {
		left++
		runtime.Goexit()
	}
	h := Hub{Broker: b}
	h.start()
	s := h.shard(shardKey{}, &simLoop{})
	m := s.join(&stillPeer{}, nil)
	const topics = 100 // so that stripes have several
	h.limits.perConn = topics
	for i := range topics {
		if err := s.subscribe(m, strconv.Itoa(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	closed, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		h.Close()
		closed = true
	}()
	<-ended
	if !closed || left != topics || h.topics.Load() != 0 {
		t.Errorf("closed %v, left %d of %d, %d are there", closed, left, topics, h.topics.Load())
	}
}

// exitingStart is a Broker that ends the goroutine when it is started.
type exitingStart struct{ *faultyBroker }

func (exitingStart) Start(Sink, func(string) Options) error {
	runtime.Goexit()
	return nil
}

// TestGoexitInStart: a Hub whose Broker has not started does not use it. It did if Start had called
// runtime.Goexit.
func TestGoexitInStart(t *testing.T) {
	h := Hub{Broker: exitingStart{newFaultyBroker()}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Start()
	}()
	<-ended
	if err := h.Publish("a", websocket.Text, nil); err == nil {
		t.Error("the Broker is used")
	}
}

// TestClosedByAnErrorThatPanics: the reason of a connection may be an error of the program's, whose
// methods panic, as those of a nil pointer do. Then the member and all its subscriptions stayed.
func TestClosedByAnErrorThatPanics(t *testing.T) {
	h := Hub{}
	h.start()
	t.Cleanup(h.Close)
	s := h.shard(shardKey{}, &simLoop{})
	m := s.join(&stillPeer{}, nil)
	if err := s.subscribe(m, "a", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		m.Closed(nil, (*net.OpError)(nil)) // whose Unwrap panics
	}()
	if n := h.Stats().Subscriptions; n != 0 || s.members != 0 {
		t.Errorf("%d subscriptions and %d members are left", n, s.members)
	}
}

// gapExits is a Format whose Gap ends the goroutine.
type gapExits struct{ plainFormat }

func (gapExits) Gap([]byte, string, Gap) []byte {
	runtime.Goexit()
	return nil
}

// TestGoexitInFormatOfLongAnswers: recoveries whose Format calls runtime.Goexit have ended. They
// counted as under way for ever, and after 32 of them nobody on the loop got a history any more.
func TestGoexitInFormatOfLongAnswers(t *testing.T) {
	const topics, messages = asksMax + 8, 4 * deliveriesMax
	h := &Hub{Options: func(string) Options { return Options{History: messages - 2} }}
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	stays, m := s.join(&stillPeer{}, nil), s.join(&stillPeer{}, gapExits{})
	subscribe := func(m *member, topic int, seq uint64) {
		sc := SubscribeConfig{}
		if e := s.names[strconv.Itoa(topic)]; e != nil {
			sc = SubscribeConfig{Recover: true, After: Position{e.at.Epoch, seq}}
		}
		if err := s.subscribe(m, strconv.Itoa(topic), &sc); err != nil {
			t.Fatal(err)
		}
	}
	for i := range topics {
		subscribe(stays, i, 0)
		for range messages {
			h.Publish(strconv.Itoa(i), websocket.Text, []byte("x"))
		}
		l.runAll()
	}
	for i := range topics {
		subscribe(m, i, 1)
	}
	for len(l.queue) > 0 {
		f := l.queue[0]
		l.queue = l.queue[1:]
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f()
		}()
		<-ended
	}
	p := new(countingPeer)
	subscribe(s.join(p, nil), 0, messages-1)
	l.runAll()
	if n := s.asks.underway; n > 0 || p.messages != 1 {
		t.Errorf("%d recoveries are under way, another one gets %d messages, want 1", n, p.messages)
	}
}
