package nats

import (
	"fmt"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// event is what a subscriber of a topic is told.
type event struct {
	kind  byte // 'S' subscribed, 'M' message, 'G' gap
	topic string
	at    topic.Position // of the message, where it begins, or the gap's Next
	prev  uint64
	data  string
}

// recorder is a Sink that does what a Hub has to: it fetches what it has missed, and tells of gaps.
type recorder struct {
	b    *Broker
	tell func(event) // called with the lock held; default: keep them

	mu      sync.Mutex
	topics  map[string]*recorded
	events  []event
	present map[string]map[string]string // topic, ID, Info
	told    []string                     // of presence
	errors  int                          // of histories
}

type recorded struct {
	last   topic.Position
	asking bool
	again  bool
	gapped bool // the next message need not follow the last one
	held   []topic.Message
}

func newRecorder(b *Broker) *recorder {
	r := &recorder{b: b, topics: map[string]*recorded{}, present: map[string]map[string]string{}}
	r.tell = func(e event) { r.events = append(r.events, e) }
	return r
}

func (r *recorder) of(name string) *recorded {
	if r.topics[name] == nil {
		r.topics[name] = &recorded{}
	}
	return r.topics[name]
}

func (r *recorder) Subscribed(name string, at topic.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(name).last = at
	r.tell(event{kind: 'S', topic: name, at: at})
}

func (r *recorder) Deliver(name string, m topic.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of(name)
	if t.asking {
		t.held = append(t.held, m)
		return
	}
	r.take(name, t, m)
}

// take takes the next message, or asks for what is missing before it.
func (r *recorder) take(name string, t *recorded, m topic.Message) {
	switch {
	case m.Epoch == t.last.Epoch && m.Seq <= t.last.Seq:
		return
	case !t.gapped && (m.Epoch != t.last.Epoch || m.Prev > t.last.Seq):
		t.held = append(t.held, m)
		r.ask(name, t)
		return
	}
	t.gapped = false
	t.last = m.Position
	r.tell(event{'M', name, m.Position, m.Prev, string(m.Data)})
}

func (r *recorder) Lost(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of(name)
	if t.asking {
		t.again = true
		return
	}
	r.ask(name, t)
}

func (r *recorder) ask(name string, t *recorded) {
	t.asking, t.again = true, false
	go r.b.History(name, t.last, 1<<20, func(msgs []topic.Message, complete bool, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.asking = false
		if err != nil {
			r.errors++
			complete = false
		}
		if !complete {
			r.tell(event{kind: 'G', topic: name})
			t.gapped = true
		}
		if len(msgs) > 0 && msgs[0].Epoch != t.last.Epoch {
			t.last = topic.Position{Epoch: msgs[0].Epoch}
			t.gapped = true
		}
		held := t.held
		t.held = nil
		for _, m := range append(msgs, held...) {
			if t.asking {
				t.held = append(t.held, m)
			} else {
				r.take(name, t, m)
			}
		}
		if t.again && !t.asking {
			r.ask(name, t)
		}
	})
}

func (r *recorder) Present(name string, joined, left []topic.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.present[name]
	if p == nil {
		p = map[string]string{}
		r.present[name] = p
	}
	for _, m := range joined {
		p[m.ID] = string(m.Info)
		r.told = append(r.told, "+"+m.ID)
	}
	for _, m := range left {
		delete(p, m.ID)
		r.told = append(r.told, "-"+m.ID)
	}
}

// took returns the data of the messages of a topic, "|" for each gap.
func (r *recorder) took(name string) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.topic == name && e.kind == 'M' {
			all = append(all, e.data)
		} else if e.topic == name && e.kind == 'G' {
			all = append(all, "|")
		}
	}
	return all
}

// begun reports whether a topic's subscription has begun.
func (r *recorder) begun(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics[name] != nil && r.topics[name].last.Epoch != 0
}

// history asks for one and waits for it.
func history(b *Broker, name string, after topic.Position, limit int) ([]topic.Message, bool, error) {
	type answer struct {
		msgs     []topic.Message
		complete bool
		err      error
	}
	c := make(chan answer, 1)
	b.History(name, after, limit, func(msgs []topic.Message, complete bool, err error) {
		c <- answer{msgs, complete, err}
	})
	select {
	case a := <-c:
		return a.msgs, a.complete, a.err
	case <-time.After(40 * time.Second):
		return nil, false, fmt.Errorf("no answer")
	}
}
