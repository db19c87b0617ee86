package topic

import (
	"encoding/binary"
	"log/slog"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// giver is what a local broker knows of a new process that takes its topics over. Until everything
// that can has moved, that process publishes and subscribes here: all messages go through one
// broker, so they have one order.
type giver struct {
	local   *local
	link    *link
	topics  map[string]bool            // that it has subscribed to
	members map[string]map[string]bool // by topic, that it has made join
	taken   uint64                     // publishes
	told    uint64                     // of these
	over    atomic.Bool                // nothing more is to be done
}

// inheritTime is how long a process waits until it has everything of the one before it.
const inheritTime = 5 * time.Second

// Give implements engine.Link: the topics of a Hub without a Broker move to the Hub of a new
// process, with their histories, positions and members. Hub.Publish returns engine.ErrHandedOver
// when they have moved. A Hub with a Broker has nothing to give.
func (h *Hub) Give(conn net.Conn, moved <-chan struct{}) {
	defer conn.Close()
	if h.start() != nil {
		return
	}
	l := h.local()
	if i, ok := h.broker.(*heir); ok && !i.await(inheritTime) {
		slog.Error("topic: this process still waits for its topics, so the new one begins anew")
		return
	}
	if l == nil {
		return
	}
	g := &giver{local: l, link: newLink(conn), topics: make(map[string]bool),
		members: make(map[string]map[string]bool)}
	l.lend()
	defer l.endLending()
	l.presence.start(g)
	g.link.send(0, func(b []byte) []byte { return append(b, linkFormat) })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		g.run()
	}()
	select {
	case <-moved:
		// What was not done by now, the new process does again.
		g.over.Store(true)
		conn.SetReadDeadline(time.Unix(1, 0))
		<-gone
		g.giveAll()
		g.link.finish()
	case <-gone:
		g.forget()
		g.link.fail(net.ErrClosed)
	}
}

// run does what the new process asks for.
func (g *giver) run() {
	for !g.over.Load() {
		kind, r, err := g.link.receive()
		if err == nil {
			g.do(kind, &r)
			err = r.Err()
		}
		if err != nil {
			return
		}
		if g.told < g.taken && (g.link.in.Buffered() == 0 || g.taken-g.told >= 64) {
			g.told = g.taken
			g.link.send(frameTaken, func(b []byte) []byte { return binary.AppendUvarint(b, g.taken) })
		}
	}
}

func (g *giver) do(kind byte, r *saved.Reader) {
	l := g.local
	switch kind {
	case frameSubscribe:
		g.subscribe(readName(r))
	case frameUnsubscribe:
		g.unsubscribe(readName(r))
	case framePublish:
		name, op := readName(r), websocket.Opcode(r.Byte())
		if data := r.Rest(); r.Err() == nil {
			l.publish(asker{l.guardedOptions, l.limit}, name, op, data)
			g.taken++
		}
	case frameHistory:
		g.link.pace()
		id, name, after, limit := r.Uvarint(math.MaxUint64), readName(r), readPosition(r), r.Uvarint(math.MaxInt32)
		l.History(name, after, int(limit), func(msgs []Message, complete bool, _ error) {
			g.answer(id, msgs, complete)
		})
	case frameJoin:
		name := readName(r)
		m := readMember(r)
		if g.members[name] == nil {
			g.members[name] = make(map[string]bool)
		}
		g.members[name][m.ID] = true
		l.Join(name, m)
	case frameLeave:
		name, id := readName(r), readName(r)
		if delete(g.members[name], id); len(g.members[name]) == 0 {
			delete(g.members, name)
		}
		l.Leave(name, id)
	case frameMembers:
		g.link.pace()
		id := r.Uvarint(math.MaxUint64)
		l.Members(readName(r), func(all []Member, _ error) {
			g.link.send(frameMembersAre, func(b []byte) []byte {
				return appendMembers(binary.AppendUvarint(b, id), all)
			})
		})
	default:
		r.Fail()
	}
}

// subscribe makes the new process get the messages of a topic.
func (g *giver) subscribe(name string) {
	t, err := g.local.lockWith(g.local.lent(), name, func(*Options) bool { return true })
	if err != nil {
		return
	}
	defer t.mu.Unlock()
	if !g.topics[name] {
		g.topics[name] = true
		t.givers = append(t.givers, g)
	}
	g.link.send(frameSubscribed, func(b []byte) []byte { return appendPosition(saved.AppendBytes(b, name), t.last) })
}

func (g *giver) unsubscribe(name string) {
	delete(g.topics, name)
	t, _ := g.local.lock(name, nil)
	if t == nil {
		return
	}
	defer t.mu.Unlock()
	g.local.leave(t, g)
}

// deliver sends a message. The topic's lock is held.
func (g *giver) deliver(name string, m *Message) {
	g.link.send(frameDeliver, func(b []byte) []byte { return appendMessage(saved.AppendBytes(b, name), m) })
}

// present tells of members. The lock of the presence is held.
func (g *giver) present(name string, joined, left []Member) {
	g.link.send(framePresent, func(b []byte) []byte {
		return appendMembers(appendMembers(saved.AppendBytes(b, name), joined), left)
	})
}

func (g *giver) answer(id uint64, msgs []Message, complete bool) {
	g.link.send(frameAnswer, func(b []byte) []byte {
		b = append(binary.AppendUvarint(b, id), 0)
		if complete {
			b[len(b)-1] = 1
		}
		b = binary.AppendUvarint(b, uint64(len(msgs)))
		for i := range msgs {
			b = appendMessage(b, &msgs[i])
		}
		return b
	})
}

// forget ends what a new process has here that is gone.
func (g *giver) forget() {
	for name := range g.topics {
		g.unsubscribe(name)
	}
	g.local.presence.stop(g)
	for name, ids := range g.members {
		for id := range ids {
			g.local.Leave(name, id)
		}
	}
}

// giveAll sends everything, which then is the new process's alone.
func (g *giver) giveAll() {
	l := g.local
	l.handed.Store(true)
	now := l.clock.Now()
	for i := range l.stripes {
		for _, t := range l.stripes[i].list() {
			g.link.await()
			t.mu.Lock()
			if !t.gone {
				g.giveTopic(t, now)
				l.remove(t)
			}
			t.mu.Unlock()
		}
	}
	for !g.giveMembers() {
		g.link.await()
	}
	g.link.send(frameEverything, func(b []byte) []byte { return binary.AppendUvarint(b, g.taken) })
}

// giveMembers sends the members of some topics, who leave here without notice. It reports whether
// these were the last ones.
func (g *giver) giveMembers() bool {
	p := &g.local.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for name, r := range p.all {
		g.link.send(frameRoster, func(b []byte) []byte { return appendMembers(saved.AppendBytes(b, name), r.share()) })
		delete(p.all, name)
		if n += 1 + len(r.places); n > beginMax { // loops wait for the lock
			return false
		}
	}
	p.givers = nil
	return true
}

func (g *giver) giveTopic(t *localTopic, now time.Time) {
	g.link.send(frameTopic, func(b []byte) []byte {
		return binary.AppendUvarint(appendPosition(saved.AppendBytes(b, t.name), t.last), age(now, t.used))
	})
	for i := range t.history.all {
		k := &t.history.all[i]
		g.link.send(frameKept, func(b []byte) []byte {
			return appendMessage(binary.AppendUvarint(b, age(now, k.at)), &k.m)
		})
	}
}

// age returns how long ago a time was, in nanoseconds. It is not over a year.
func age(now, at time.Time) uint64 {
	const year = 365 * 24 * time.Hour
	return uint64(min(max(now.Sub(at), 0), year))
}
