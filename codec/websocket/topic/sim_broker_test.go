package topic

import (
	"errors"
	"slices"

	"github.com/myriadnet/myriad/codec/websocket"
)

// simLog is what was published to a topic in the current epoch, on all nodes.
type simLog struct {
	epoch uint64
	all   []Message
	first int                 // before that the history has nothing
	truth map[Position]uint64 // the Seq of the message before, for all epochs
}

func (l *simLog) last() Position {
	if n := len(l.all); n > 0 {
		return l.all[n-1].Position
	}
	return Position{Epoch: l.epoch}
}

func (l *simLog) restart() { l.epoch, l.all, l.first = l.epoch+1, nil, 0 }

// simBroker is the Broker of one node.
type simBroker struct {
	node       *simNode
	sink       Sink
	subscribed map[string]bool
	queues     map[string][]func() // what will be delivered, by topic
	epochs     map[string]uint64   // of topics, the latest that the Hub has seen
}

// live delivers a message, unless the Hub has seen a later epoch in the history.
func (b *simBroker) live(name string, m Message) {
	if m.Epoch >= b.epochs[name] {
		b.epochs[name] = m.Epoch
		b.sink.Deliver(name, m)
	}
}

func (b *simBroker) Start(s Sink, _ func(string) Options) error {
	b.sink = s
	return nil
}

func (b *simBroker) Publish(name string, op websocket.Opcode, data []byte) error {
	w := b.node.w
	l := w.logs[name]
	m := Message{Position: l.last(), Prev: l.last().Seq, Op: op, Data: slices.Clone(data)}
	m.Seq += 1 + uint64(w.rng.IntN(3))
	l.truth[m.Position] = m.Prev
	l.all = append(l.all, m)
	w.note("publish %s %v", name, m.Position)
	for _, n := range w.nodes {
		n.broker.transmit(name, m)
	}
	return nil
}

// transmit sends a message to the node, or loses it.
func (b *simBroker) transmit(name string, m Message) {
	w := b.node.w
	if !b.subscribed[name] {
		return
	}
	if !w.calm && w.one(10) {
		w.lost++
		w.note("%s %v is lost", name, m.Position)
		if w.one(3) {
			b.queues[name] = append(b.queues[name], func() { b.sink.Lost(name) })
		}
		return
	}
	m.Data = slices.Clone(m.Data)
	b.queues[name] = append(b.queues[name], func() { b.live(name, m) })
	if !w.calm && w.one(20) {
		b.queues[name] = append(b.queues[name], func() { b.live(name, m) })
	}
}

// deliver delivers what comes next for one topic.
func (b *simBroker) deliver(w *world) bool {
	all := slices.DeleteFunc(slices.Clone(simNames), func(name string) bool { return len(b.queues[name]) == 0 })
	name, ok := pick(w, all)
	if !ok {
		return false
	}
	f := b.queues[name][0]
	b.queues[name] = b.queues[name][1:]
	f()
	return true
}

func (b *simBroker) Subscribe(name string) error {
	w := b.node.w
	if b.subscribed[name] {
		w.fail("subscribed twice to %s", name)
	}
	if !w.calm && w.one(20) {
		return errors.New("the broker refuses")
	}
	b.subscribed[name] = true
	at := w.logs[name].last()
	b.queues[name] = append(b.queues[name], func() { b.sink.Subscribed(name, at) })
	return nil
}

func (b *simBroker) Unsubscribe(name string) {
	if !b.subscribed[name] {
		b.node.w.fail("unsubscribed twice from %s", name)
	}
	b.subscribed[name] = false
}

func (b *simBroker) History(name string, after Position, limit int, done func([]Message, bool, error)) {
	w := b.node.w
	if !w.whole && !w.calm && w.one(20) {
		w.note("history of %s after %v: it never comes", name, after)
		return
	}
	answer := func() {
		if !w.whole && !w.calm && w.one(5) {
			done(nil, false, errors.New("the broker does not answer"))
			return
		}
		l := w.logs[name]
		if !w.whole && w.one(5) {
			l.first = max(l.first, len(l.all)-w.rng.IntN(10))
		}
		from := len(l.all)
		for from > l.first && len(l.all)-from < limit && (after.Epoch != l.epoch || l.all[from-1].Seq > after.Seq) {
			from--
		}
		complete := after == Position{}
		if after.Epoch == l.epoch {
			complete = from == 0 || l.all[from-1].Seq <= after.Seq
		}
		msgs := slices.Clone(l.all[from:])
		b.epochs[name] = max(b.epochs[name], l.epoch)
		w.note("history of %s after %v: %d messages, complete %v", name, after, len(msgs), complete)
		done(msgs, complete, nil)
	}
	if w.one(4) {
		answer()
		return
	}
	w.tasks = append(w.tasks, answer)
}
