package topic

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/saved"
)

// This file has what a heir is asked for, as a Broker: it asks the old process as long as that has
// the topics.

// elsewhere locks i if the old process has the topics.
func (i *heir) elsewhere() bool {
	if i.own.Load() {
		return false
	}
	i.waits.Add(1)
	i.mu.Lock()
	i.waits.Add(-1)
	if i.own.Load() {
		i.mu.Unlock()
		return false
	}
	return true
}

// Publish implements Broker.
func (i *heir) Publish(name string, op websocket.Opcode, data []byte) error {
	if !i.elsewhere() {
		return i.local.Publish(name, op, data)
	}
	defer i.mu.Unlock()
	if i.size > linkMax/4 || i.flooded && len(i.sent) > 0 {
		return engine.ErrBusy
	}
	p := publish{name, op, bytes.Clone(data)}
	i.sent = append(i.sent, p)
	i.size += p.cost()
	if i.begins { // nobody takes it
		return nil
	}
	i.link.send(framePublish, func(b []byte) []byte {
		return append(append(saved.AppendBytes(b, name), byte(op)), data...)
	})
	return nil
}

func (p *publish) cost() int { return messageCost + len(p.topic) + len(p.data) }

// Subscribe implements Broker.
func (i *heir) Subscribe(name string) error {
	if !i.elsewhere() {
		return i.local.Subscribe(name)
	}
	defer i.mu.Unlock()
	if i.begins {
		return i.local.subscribe(i.local.lent(), name)
	}
	i.topics[name] = true
	i.link.send(frameSubscribe, func(b []byte) []byte { return saved.AppendBytes(b, name) })
	return nil
}

// Unsubscribe implements Broker.
func (i *heir) Unsubscribe(name string) {
	if !i.elsewhere() {
		i.local.Unsubscribe(name)
		return
	}
	defer i.mu.Unlock()
	if !i.topics[name] { // begin has subscribed to it
		i.local.Unsubscribe(name)
		return
	}
	delete(i.topics, name)
	i.link.send(frameUnsubscribe, func(b []byte) []byte { return saved.AppendBytes(b, name) })
}

// History implements Broker.
func (i *heir) History(name string, after Position, limit int, done func([]Message, bool, error)) {
	if !i.elsewhere() {
		i.local.History(name, after, limit, done)
		return
	}
	defer i.mu.Unlock()
	limit = min(limit, math.MaxInt32) // which is no limit
	i.ask(request{topic: name, after: after, limit: limit, done: done}, frameHistory, func(b []byte) []byte {
		b = appendPosition(saved.AppendBytes(b, name), after)
		return binary.AppendUvarint(b, uint64(limit))
	})
}

// Join implements PresenceBroker.
func (i *heir) Join(name string, m Member) error {
	if !i.elsewhere() {
		return i.local.Join(name, m)
	}
	defer i.mu.Unlock()
	// One that came with the old process's members is a stranger until lentTime is over, and would
	// leave then: see strangers. So it joins a second time.
	if i.hasMembers() && i.isPresent(name, m.ID) {
		return i.local.Join(name, m)
	}
	if i.members[name] == nil {
		i.members[name] = make(map[string]Member)
	}
	i.members[name][m.ID] = m
	if i.hasMembers() {
		return i.local.Join(name, m)
	}
	i.link.send(frameJoin, func(b []byte) []byte { return appendMember(saved.AppendBytes(b, name), &m) })
	return nil
}

// hasMembers reports whether local is told who joins and leaves, and tells others: at once if the
// old process is dead.
func (i *heir) hasMembers() bool { return i.begins || i.anew }

// Leave implements PresenceBroker.
func (i *heir) Leave(name string, id string) {
	if !i.elsewhere() {
		i.local.Leave(name, id)
		return
	}
	defer i.mu.Unlock()
	m, isMember := i.members[name][id]
	if delete(i.members[name], id); len(i.members[name]) == 0 {
		delete(i.members, name)
	}
	if i.hasMembers() {
		if isMember && i.anew && !i.isPresent(name, id) { // others know of it
			i.local.presence.obtain(name).join(m)
		}
		i.local.Leave(name, id)
		return
	}
	i.link.send(frameLeave, func(b []byte) []byte { return saved.AppendBytes(saved.AppendBytes(b, name), id) })
}

// ask sends a request, with a number before it. If the link has broken, begin asks local.
func (i *heir) ask(q request, kind byte, fields func(b []byte) []byte) {
	i.last++
	i.asked[i.last] = q
	i.link.send(kind, func(b []byte) []byte { return fields(binary.AppendUvarint(b, i.last)) })
}

// answered returns the request of a number, once.
func (i *heir) answered(id uint64) request {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := i.asked[id]
	delete(i.asked, id)
	return q
}
