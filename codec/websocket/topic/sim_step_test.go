package topic

import (
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// step does one thing at random.
func (w *world) step() {
	n, _ := pick(w, w.nodes)
	name, _ := pick(w, simNames)
	p, ok := pick(w, n.peers)
	switch k := w.rng.IntN(100); {
	case k < 30:
		w.turn(n)
	case k < 45:
		n.broker.deliver(w)
	case k < 50:
		w.task()
	case k < 65:
		w.publish(n, name)
	case k < 70 && len(n.peers) < 12:
		w.connect(n)
	case k < 80 && ok:
		p.subscribe(name)
	case k < 84 && ok:
		p.unsubscribe(name)
	case k < 87 && ok:
		p.slow = !p.slow
	case k < 92 && ok:
		p.drain()
	case k < 94 && ok:
		p.close()
	case k < 95 && w.one(5):
		w.endLoop(n)
	case k < 97:
		w.advance(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
	case k < 98 && !w.whole && !w.local && w.one(4):
		w.logs[name].restart()
		w.note("%s begins a new epoch", name)
	}
}

// turn runs a task of a loop.
func (w *world) turn(n *simNode) bool {
	l, _ := pick(w, n.loops)
	if len(l.queue) == 0 {
		return false
	}
	f := l.queue[0]
	l.queue = l.queue[1:]
	f()
	return true
}

func (w *world) task() bool {
	if len(w.tasks) == 0 {
		return false
	}
	i := w.rng.IntN(len(w.tasks))
	f := w.tasks[i]
	w.tasks = append(w.tasks[:i], w.tasks[i+1:]...)
	f()
	return true
}

func (w *world) publish(n *simNode, name string) {
	var data [8]byte
	if err := n.hub.Publish(name, websocket.Binary, data[:]); err != nil {
		w.fail("publish: %v", err)
	}
}

func (w *world) endLoop(n *simNode) {
	i := w.rng.IntN(len(n.loops))
	l := n.loops[i]
	w.note("loop %d ends", l.key)
	l.ended = true
	for j := len(n.peers) - 1; j >= 0; j-- {
		if n.peers[j].loop == l {
			n.peers[j].close()
		}
	}
	l.queue = nil
	n.loops = append(n.loops[:i], n.loops[i+1:]...)
	w.addLoop(n)
}
