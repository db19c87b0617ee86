package topic

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// countingPeer counts what it is sent.
type countingPeer struct {
	stillPeer
	messages, bytes int
}

func (p *countingPeer) SendPrepared(m *websocket.Prepared, _ engine.SlowPolicy) error {
	_, data := m.Message()
	p.messages++
	p.bytes += len(data)
	return nil
}

// TestLongHistoryDoesNotHoldTheLoop: a client that asks for a long history gets it in parts,
// between which other connections of the loop have their turn. It was 50 ms of 10,000 messages at
// once.
func TestLongHistoryDoesNotHoldTheLoop(t *testing.T) {
	for _, test := range []struct {
		name           string
		messages, size int
	}{{"many messages", 5000, 1}, {"large messages", 300, 60 << 10}} {
		t.Run(test.name, func(t *testing.T) {
			h := &Hub{Options: func(string) Options {
				return Options{History: test.messages, HistoryBytes: 64 << 20}
			}}
			h.start()
			t.Cleanup(h.Close)
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			if err := s.subscribe(s.join(&stillPeer{}, nil), "room", &SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
			l.runAll()
			data := bytes.Repeat([]byte("x"), test.size)
			for range test.messages {
				h.Publish("room", websocket.Text, data)
			}
			l.runAll()
			p := new(countingPeer)
			m := s.join(p, nil)
			if err := s.subscribe(m, "room", &SubscribeConfig{Recover: true}); err != nil {
				t.Fatal(err)
			}
			for turn := 0; len(l.queue) > 0; turn++ {
				if turn == 2 { // it comes between two parts, and behind all of them
					h.Publish("room", websocket.Text, []byte("last"))
				}
				f := l.queue[0]
				l.queue = l.queue[1:]
				before := *p
				f()
				if n := p.messages - before.messages; n > 2*deliveriesMax {
					t.Fatalf("%d messages in a turn", n)
				}
				if n := p.bytes - before.bytes; n > 2*heldBytesMax {
					t.Fatalf("%d bytes in a turn", n)
				}
			}
			if p.messages != test.messages+1 {
				t.Errorf("%d messages, want %d", p.messages, test.messages+1)
			}
			if s := h.Stats(); s.Gaps > 0 || s.Pending > 0 {
				t.Errorf("%+v", s)
			}
			if s.asks.underway != 0 || m.asks != 0 || len(s.entries.all[m.subs[0].id].behind) > 0 {
				t.Error("something is left")
			}
		})
	}
}

// packingPeer compresses what it is sent, with a window of its own size.
type packingPeer struct {
	countingPeer
	sender wsproto.Sender
}

func (p *packingPeer) SendPrepared(m *websocket.Prepared, slow engine.SlowPolicy) error {
	before := m.Size()
	p.sender.Prepared(m, false)
	if m.Size() == before {
		return nil // only what it has compressed counts
	}
	return p.countingPeer.SendPrepared(m, slow)
}

// TestLargeMessagesDoNotHoldTheLoop: however large live messages are, and however many sizes of
// window they are compressed for, a turn of the loop does so much for them and not more. It was 64
// deliveries: 80 ms with messages of 64 KiB, eight sizes of window and two Formats.
func TestLargeMessagesDoNotHoldTheLoop(t *testing.T) {
	const messages, size = 10, 60 << 10
	config := &wsproto.Config{Compressor: deflate.New(deflate.Compression{})}
	for _, test := range []struct {
		name  string
		peers int
		pack  bool
		most  int // bytes in a turn
	}{{"plain", 100, false, 2 << 20}, {"compressed", 8, true, 2 * size}} {
		t.Run(test.name, func(t *testing.T) {
			h := &Hub{}
			h.start()
			t.Cleanup(h.Close)
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			var peers []*countingPeer
			for i := range test.peers {
				var p peer
				if test.pack {
					own := &packingPeer{sender: wsproto.NewSender(config, &wsproto.Deflate{
						ServerNoContextTakeover: true, ClientNoContextTakeover: true,
						ServerMaxWindowBits: uint8(8 + i)})}
					p, peers = own, append(peers, &own.countingPeer)
				} else {
					own := new(countingPeer)
					p, peers = own, append(peers, own)
				}
				if err := s.subscribe(s.join(p, nil), "room", &SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
			}
			l.runAll()
			for i := range messages {
				h.Publish("room", websocket.Text, bytes.Repeat([]byte{'a' + byte(i)}, size))
			}
			sum := func() (bytes int) {
				for _, p := range peers {
					bytes += p.bytes
				}
				return bytes
			}
			for len(l.queue) > 0 {
				f := l.queue[0]
				l.queue = l.queue[1:]
				before := sum()
				f()
				if n := sum() - before; n > test.most {
					t.Fatalf("%d bytes in a turn, want at most %d", n, test.most)
				}
			}
			if n := sum(); n != messages*size*test.peers {
				t.Errorf("%d bytes came, want %d", n, messages*size*test.peers)
			}
		})
	}
}

// TestManyMissedTopicsDoNotHoldTheLoop: a loop that has missed messages of many topics looks at
// some of them in each turn.
func TestManyMissedTopicsDoNotHoldTheLoop(t *testing.T) {
	const topics = 2000
	h := &Hub{MaxPending: 64 << 10}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	for i := range topics {
		if err := s.subscribe(s.join(&stillPeer{}, nil), fmt.Sprint(i), &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	for i := range topics {
		h.Publish(fmt.Sprint(i), websocket.Text, []byte("x"))
	}
	missed := int64(len(s.inbox.missing))
	if missed < topics/2 {
		t.Fatalf("%d topics have missed something", missed)
	}
	for len(l.queue) > 0 {
		f := l.queue[0]
		l.queue = l.queue[1:]
		before := len(s.inbox.missing)
		f()
		if n := before - len(s.inbox.missing); n > deliveriesMax {
			t.Fatalf("%d topics in a turn", n)
		}
	}
	if n := h.Stats().Gaps; n != missed {
		t.Errorf("%d gaps, want %d", n, missed)
	}
}

// TestLongMissedHistoryDoesNotHoldTheLoop: a loop that has missed many messages of a topic takes
// them from the history in parts, while others are published. Up to MaxPending were taken at once:
// 60 to 200 ms of 80,000.
func TestLongMissedHistoryDoesNotHoldTheLoop(t *testing.T) {
	const messages, pending = 24_000, 2 << 20
	h := &Hub{MaxPending: pending, Options: func(string) Options {
		return Options{History: 2 * messages, HistoryBytes: 64 << 20}
	}}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	p := new(countingPeer)
	if err := s.subscribe(s.join(p, nil), "room", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	published := 0
	publish := func() {
		h.Publish("room", websocket.Text, []byte("x"))
		published++
	}
	for range messages {
		publish()
	}
	for turn := 0; len(l.queue) > 0; turn++ {
		if published < 2*messages {
			publish()
			publish()
		}
		f := l.queue[0]
		l.queue = l.queue[1:]
		before := len(s.inbox.items)
		f()
		if n := len(s.inbox.items) - before; n > refillMax+deliveriesMax {
			t.Fatalf("%d messages were taken in turn %d", n, turn)
		}
	}
	if st := h.Stats(); p.messages != published || st.Gaps > 0 || st.Pending > 0 || st.Recovered == 0 {
		t.Errorf("%d messages came, of %d: %+v", p.messages, published, st)
	}
}

// mute is a Broker that does not answer History.
type mute struct{ sink Sink }

func (b *mute) Start(s Sink, _ func(string) Options) error     { b.sink = s; return nil }
func (b *mute) Publish(string, websocket.Opcode, []byte) error { return nil }
func (b *mute) Unsubscribe(string)                             {}
func (b *mute) Subscribe(name string) error {
	b.sink.Subscribed(name, Position{7, 1})
	return nil
}
func (b *mute) History(string, Position, int, func([]Message, bool, error)) {}

// TestRecoveriesOfClosedConnectionsDoNotPileUp: connections come, recover topics and go, while the
// Broker does not answer. What they have asked for went only when it did.
func TestRecoveriesOfClosedConnectionsDoNotPileUp(t *testing.T) {
	h := &Hub{Broker: new(mute), Options: func(string) Options { return Options{History: 100} }}
	h.start()
	t.Cleanup(h.Close)
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	recover := SubscribeConfig{Recover: true, After: Position{Epoch: 7}}
	if err := s.subscribe(s.join(&stillPeer{}, nil), "room", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	const stay = asksMax + 10
	for range stay {
		if err := s.subscribe(s.join(&stillPeer{}, nil), "room", &recover); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	for range 1000 {
		m := s.join(&stillPeer{}, nil)
		for range 20 {
			if err := s.subscribe(m, "room", &recover); err != nil {
				t.Fatal(err)
			}
			s.remove(m, 0)
		}
		m.leave()
		l.runAll()
		if n := len(s.asks.waiting); n > 2*stay+asksMax {
			t.Fatalf("%d recoveries wait, of %d connections", n, stay)
		}
	}
	if n := s.asks.left; n < 0 || n > len(s.asks.waiting) {
		t.Errorf("%d of closed connections, of %d", n, len(s.asks.waiting))
	}
}
