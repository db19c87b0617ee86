package topic

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// fullPeer is a peer with a Pressure.
type fullPeer struct {
	stillPeer
	pressure engine.Pressure
}

func (p *fullPeer) Pressure() engine.Pressure { return p.pressure }

// TestNothingIsDeliveredAfterClose: what waits for a loop when the Hub closes does not reach its
// subscribers any more, and nothing is left of it.
func TestNothingIsDeliveredAfterClose(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
	}{{"everything", Options{}}, {"the newest", Options{Conflate: true}}} {
		t.Run(test.name, func(t *testing.T) {
			h := Hub{Options: func(string) Options { return test.options }}
			h.start()
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			p := &fullPeer{pressure: engine.Sent}
			m := s.join(p, nil)
			for range 2 * deliveriesMax { // so that a fan-out takes more than a turn
				if err := s.subscribe(s.join(&stillPeer{}, nil), "t", &SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			l.runAll()
			p.pressure = engine.Queued
			h.Publish("t", websocket.Text, nil)
			l.runAll()
			h.Publish("t", websocket.Text, nil)
			l.queue[0]()
			l.queue = l.queue[1:] // it has delivered a part
			if s.fan.entry == nil {
				t.Fatal("the fan-out has ended")
			}
			h.Publish("t", websocket.Text, nil)
			before := h.Stats().Delivered
			h.Close()
			p.pressure = engine.Sent
			l.runAll()
			s.flushed(m)
			l.runAll()
			if n := h.Stats().Delivered + s.tally.delivered - before; n > 0 {
				t.Errorf("%d messages were delivered afterwards", n)
			}
			if n := h.Stats().Pending; n != 0 {
				t.Errorf("%d bytes wait", n)
			}
			if s.fan.entry != nil || s.work != nil || s.inbox.items != nil {
				t.Error("something is left")
			}
			for id := range s.slots.all { // what was begun ends as always
				s.slots.all[id].member.leave()
			}
		})
	}
}

// TestCloseDoesNotStart: a Hub that was never used leaves its Broker alone when it closes.
func TestCloseDoesNotStart(t *testing.T) {
	b := &startingBroker{faultyBroker: newFaultyBroker()}
	h := Hub{Broker: b}
	h.Close()
	h.Close()
	if b.started {
		t.Error("the Broker has started")
	}
	if err := h.Start(); err != ErrClosed {
		t.Errorf("Start returns %v", err)
	}
	if err := h.Publish("t", websocket.Text, nil); err != ErrClosed {
		t.Errorf("Publish returns %v", err)
	}
	h.Members("t", func(_ []Member, err error) {
		if err != ErrClosed {
			t.Errorf("Members returns %v", err)
		}
	})
	if s := h.Stats(); s != (Stats{}) || b.started {
		t.Errorf("%+v, started: %t", s, b.started)
	}
}

// startingBroker notes that it was started.
type startingBroker struct {
	*faultyBroker
	started bool
	panics  bool
}

func (b *startingBroker) Start(sink Sink, options func(string) Options) error {
	if b.started = true; b.panics {
		panic("a Broker that panics")
	}
	return b.faultyBroker.Start(sink, options)
}

// TestStatsAfterClose: no topic is left, whichever Broker the Hub has, and counters stay.
func TestStatsAfterClose(t *testing.T) {
	h := Hub{Broker: newFaultyBroker()}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	h.Close()
	m.leave()
	if got, want := h.Stats(), (Stats{Published: 1, Delivered: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestStatsCountWhatIsDeliveredLast: what a connection gets when it has caught up counts, although
// the shard goes with the connection before its next turn.
func TestStatsCountWhatIsDeliveredLast(t *testing.T) {
	h := Hub{Options: func(string) Options { return Options{Conflate: true} }}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	p := &fullPeer{pressure: engine.Queued}
	m := s.join(p, nil)
	if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	p.pressure = engine.Sent
	s.flushed(m)
	m.leave()
	if n := h.Stats().Delivered; n != 1 {
		t.Errorf("%d messages were delivered, want 1", n)
	}
}

// TestStatsNeverGoBack while connections leave, and with them what their loops have counted.
func TestStatsNeverGoBack(t *testing.T) {
	var h Hub
	h.start()
	t.Cleanup(h.Close)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 {
			l := &simLoop{}
			s := h.shard(shardKey{loop: i}, l)
			m := s.join(&stillPeer{}, nil)
			if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
				t.Error(err)
				return
			}
			l.runAll()
			h.Publish("t", websocket.Text, nil)
			l.runAll()
			m.leave()
		}
	}()
	for last := int64(0); ; {
		n := h.Stats().Delivered
		if n < last {
			t.Errorf("%d messages were delivered, after %d", n, last)
			<-done
			return
		}
		last = n
		select {
		case <-done:
			return
		default:
		}
	}
}

// TestGapIsNotCalledAfterClose: gaps that wait to be told are not.
func TestGapIsNotCalledAfterClose(t *testing.T) {
	var h Hub
	called := 0
	h.Gap = func(*websocket.Conn, string, Gap) {
		called++
		h.Close()
	}
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	m.conn = new(websocket.Conn)
	if err := s.subscribe(m, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	e := s.names["t"]
	s.count(m, e, Gap{})
	s.count(m, e, Gap{})
	l.runAll()
	if called != 1 {
		t.Errorf("Gap was called %d times, want once: it closes the Hub", called)
	}
	m.conn = nil
}

// TestBrokerPanics: what a Broker loses by a panic costs nothing else.
func TestBrokerPanics(t *testing.T) {
	panics := func() { panic("a Broker that panics") }
	t.Run("Start", func(t *testing.T) {
		h := Hub{Broker: &startingBroker{faultyBroker: newFaultyBroker(), panics: true}}
		for range 2 {
			if err := h.Start(); err == nil {
				t.Error("no error")
			}
		}
		h.Close()
	})
	t.Run("History", func(t *testing.T) {
		h := Hub{
			Broker:  panickyHistory{newFaultyBroker()},
			Options: func(string) Options { return Options{History: 1} },
		}
		h.start()
		t.Cleanup(h.Close)
		l := &simLoop{}
		s := h.shard(shardKey{}, l)
		m := s.join(&stillPeer{}, nil)
		for _, name := range []string{"a", "b"} {
			sc := SubscribeConfig{Recover: true, After: Position{Epoch: 1, Seq: 1}}
			if err := s.subscribe(m, name, &sc); err != nil {
				t.Fatal(err)
			}
		}
		l.runAll()
		if n := h.Stats().Gaps; n != 2 {
			t.Errorf("%d gaps were told, want one for each topic", n)
		}
	})
	t.Run("Unsubscribe", func(t *testing.T) {
		b := newFaultyBroker()
		b.unsubscribe = func(name string) {
			if name != "b" {
				panics()
			}
		}
		w := &world{t: t, now: time.Unix(1e9, 0)}
		h := Hub{Broker: b, clock: w}
		h.start()
		l := &simLoop{}
		s := h.shard(shardKey{}, l)
		m := s.join(&stillPeer{}, nil)
		names := []string{"a", "b", "c", "d"}
		for _, name := range names {
			if err := s.subscribe(m, name, &SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		for len(m.subs) > 2 {
			s.remove(m, 0)
		}
		w.advance(2 * lingerTime)
		h.Close()
		m.leave()
		if n := h.Stats().Topics; n != 0 {
			t.Errorf("%d topics are left", n)
		}
		if lt, _ := b.lock("b", nil); lt != nil {
			t.Error("the Broker has a subscription")
		}
	})
	t.Run("Leave", func(t *testing.T) {
		b := &panickyLeave{newFaultyBroker(), nil}
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
		m.leave()
		if len(b.left) != 3 {
			t.Errorf("left %q, want all three topics", b.left)
		}
		if n := len(s.names); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// nested is an error whose text panics, and so does the value it panics with: package fmt gives up.
type nested struct{}

func (n nested) Error() string { panic(n) }

// TestPanicsWithAnErrorThatPanics: to tell of them ended the process, with a goroutine of the
// Hub's.
func TestPanicsWithAnErrorThatPanics(t *testing.T) {
	if err := guard("Start", func() { panic(nested{}) }); err == nil {
		t.Error("a Broker that panics: no error")
	}
	_, _, ok := tried(func() (websocket.Opcode, []byte) { panic(nested{}) })
	if ok {
		t.Error("a Format that panics: ok")
	}
}

type panickyHistory struct{ *faultyBroker }

func (panickyHistory) History(string, Position, int, func([]Message, bool, error)) {
	panic("a Broker that panics")
}

type panickyLeave struct {
	*faultyBroker
	left []string
}

func (b *panickyLeave) Leave(name, _ string) {
	b.left = append(b.left, name)
	panic("a Broker that panics")
}
