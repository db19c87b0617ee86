package topic

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// stillPeer is a connection that takes everything, and costs nothing.
type stillPeer struct{}

func (*stillPeer) Send(websocket.Opcode, []byte) (engine.Pressure, error)    { return engine.Sent, nil }
func (*stillPeer) SendPrepared(*websocket.Prepared, engine.SlowPolicy) error { return nil }
func (*stillPeer) Pressure() engine.Pressure                                 { return engine.Sent }

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryPerSubscription is the promise of 48 bytes per subscription. Topics and connections are
// there before: what is measured is subscriptions, with the free room of their slices.
func TestMemoryPerSubscription(t *testing.T) {
	const limit = 48
	tests := []struct{ conns, topics, perConn int }{
		{conns: 10_000, topics: 100, perConn: 100},
		{conns: 100, topics: 10_000, perConn: 10_000},
		{conns: 1_000_000, topics: 10, perConn: 1},
	}
	for _, c := range tests {
		t.Run(fmt.Sprintf("%d connections, %d topics", c.conns, c.topics), func(t *testing.T) {
			if testing.Short() && c.conns > 100_000 {
				t.Skip("takes 200 MB")
			}
			h := Hub{MaxTopicsPerConn: -1, async: func(f func()) { f() }}
			if err := h.start(); err != nil {
				t.Fatal(err)
			}
			l := &simLoop{}
			s := h.shard(shardKey{}, l)
			names := make([]string, c.topics)
			first := s.join(&stillPeer{}, nil)
			for i := range names {
				names[i] = fmt.Sprint("topic ", i)
				if err := s.subscribe(first, names[i], &SubscribeConfig{}); err != nil {
					t.Fatal(err)
				}
			}
			members := make([]*member, c.conns)
			for i := range members {
				members[i] = s.join(&stillPeer{}, nil)
			}
			for len(l.queue) > 0 {
				f := l.queue[0]
				l.queue = l.queue[1:]
				f()
			}
			before := heapBytes()
			for i, m := range members {
				for j := range c.perConn {
					if err := s.subscribe(m, names[(i+j*7)%c.topics], &SubscribeConfig{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			n := int64(c.conns * c.perConn)
			if per := (heapBytes() - before + n - 1) / n; per > limit {
				t.Errorf("%d bytes per subscription, limit %d", per, limit)
			} else {
				t.Logf("%d bytes per subscription, besides %d per connection and %d per topic and loop", per,
					unsafe.Sizeof(member{})+unsafe.Sizeof(slot{}), unsafe.Sizeof(topic{})+unsafe.Sizeof(entry{}))
			}
			if err := s.check(); err != "" {
				t.Error(err)
			}
			runtime.KeepAlive(members)
		})
	}
}

// TestDeliveryAllocatesNothing is the promise that a message costs the same number of allocations
// however many subscribers it has, and that one who comes and goes costs none.
func TestDeliveryAllocatesNothing(t *testing.T) {
	var h Hub
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	l := &simLoop{queue: make([]func(), 0, 16)}
	s := h.shard(shardKey{}, l)
	work := func() {
		for i := 0; i < len(l.queue); i++ {
			l.queue[i]()
			if l.queue = l.queue[:copy(l.queue, l.queue[i+1:])]; true {
				i--
			}
		}
	}
	publish := func() {
		h.Publish("all", websocket.Binary, []byte("hello"))
		work()
	}
	allocations := func(subscribers int) float64 {
		for s.members < subscribers {
			if err := s.subscribe(s.join(&stillPeer{}, nil), "all", &SubscribeConfig{}); err != nil {
				t.Fatal(err)
			}
		}
		work()
		publish()
		return testing.AllocsPerRun(20, publish)
	}
	few, many := allocations(1), allocations(10_000)
	t.Logf("%.0f allocations per message", few)
	if many > few {
		t.Errorf("%.0f allocations per message to one, %.0f to 10,000", few, many)
	}
	if n := h.Stats().Delivered; n == 0 {
		t.Error("nothing was delivered")
	}
	m := s.join(&stillPeer{}, nil)
	if n := testing.AllocsPerRun(100, func() {
		s.subscribe(m, "all", &SubscribeConfig{})
		s.remove(m, 0)
	}); n > 0 {
		t.Errorf("%.0f allocations to subscribe and unsubscribe", n)
	}
}
