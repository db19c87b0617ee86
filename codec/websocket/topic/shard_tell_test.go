package topic

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestGapsWithoutEnd: a callback Gap that subscribes anew, and so has a gap again, does not keep
// the loop from anything else.
func TestGapsWithoutEnd(t *testing.T) {
	var h Hub
	told := 0
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	m := s.join(&stillPeer{}, nil)
	m.conn = new(websocket.Conn)
	h.Gap = func(*websocket.Conn, string, Gap) {
		if told++; told > 1000 {
			panic("the loop has no other turn")
		}
		s.remove(m, 0)
		again := SubscribeConfig{Recover: true, After: Position{1, 1}}
		if err := s.subscribe(m, "t", &again); err != nil {
			t.Error(err)
		}
	}
	if err := s.subscribe(m, "t", &SubscribeConfig{Recover: true, After: Position{1, 1}}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if len(l.queue) == 0 {
			t.Fatal("no gap is told")
		}
		f := l.queue[0]
		l.queue = l.queue[1:]
		f()
	}
	if told == 0 || told > 10 {
		t.Errorf("%d gaps were told in 10 turns", told)
	}
}
