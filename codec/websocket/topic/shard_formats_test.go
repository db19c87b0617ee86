package topic

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// named is a Format of one connection.
type named struct{ name string }

func (named) Opcode() websocket.Opcode { return websocket.Text }
func (f named) Message(dst []byte, _ string, _ *Message) []byte {
	return append(dst, f.name...)
}
func (named) Subscribed([]byte, string, Position) []byte        { return nil }
func (named) Gap([]byte, string, Gap) []byte                    { return nil }
func (named) Present([]byte, string, []Member, []Member) []byte { return nil }

// hearer remembers what it was sent last.
type hearer struct {
	stillPeer
	heard string
}

func (p *hearer) SendPrepared(m *websocket.Prepared, _ engine.SlowPolicy) error {
	_, data := m.Message()
	p.heard = string(data)
	return nil
}

// TestFormatsOfManyConnections: connections with a Format of their own come and go. None gets what
// was made for another one, and nothing is kept of those that are gone.
func TestFormatsOfManyConnections(t *testing.T) {
	var h Hub
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	stays := &hearer{}
	if err := s.subscribe(s.join(stays, named{"first"}), "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	for i := range 1<<16 - 1 {
		s.join(&stillPeer{}, named{fmt.Sprint(i)}).leave()
	}
	last := &hearer{}
	if err := s.subscribe(s.join(last, named{"last"}), "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.runAll()
	if stays.heard != "first" || last.heard != "last" {
		t.Errorf("%q and %q, want what was made for each", stays.heard, last.heard)
	}
	if n := len(s.formats); n > 2 {
		t.Errorf("%d formats are kept, of 2", n)
	}
}

// TestFormatReplacedWithinFanOut: a connection leaves in the middle of a fan-out, and one with
// another Format takes its place: it is not sent what was made for the other one.
func TestFormatReplacedWithinFanOut(t *testing.T) {
	var h Hub
	h.start()
	l := &simLoop{}
	s := h.shard(shardKey{}, l)
	leaves := s.join(&hearer{}, named{"leaves"})
	if err := s.subscribe(leaves, "t", &SubscribeConfig{}); err != nil {
		t.Fatal(err)
	}
	for range 2 * deliveriesMax {
		if err := s.subscribe(s.join(&stillPeer{}, nil), "t", &SubscribeConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	l.runAll()
	h.Publish("t", websocket.Text, nil)
	l.queue[0]() // the first part
	if s.fan.entry == nil {
		t.Fatal("the fan-out is over")
	}
	leaves.leave()
	comes := s.join(&hearer{}, named{"comes"})
	if f := s.fan.form(comes); f.prepared != nil {
		if _, data := f.prepared.Message(); string(data) != "comes" {
			t.Errorf("it gets %q", data)
		}
	}
}
