package topic

import (
	"strings"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// Subscribe subscribes a connection to a topic. It may be called on the connection's loop only,
// from Open on. The subscription ends with the connection. The error is ErrName, ErrTooMany,
// ErrSubscribed, ErrClosed, that of Authorize or of the Broker, engine.ErrClosed if the connection
// is closed, or engine.ErrBusy if it subscribes to topics and leaves them faster than they begin.
func (h *Hub) Subscribe(c *websocket.Conn, topic string) error {
	return SubscribeConfig{}.Subscribe(h, c, topic)
}

// Subscribe is Hub.Subscribe with options.
func (sc SubscribeConfig) Subscribe(h *Hub, c *websocket.Conn, topic string) error {
	if err := h.start(); err != nil {
		return err
	}
	if err := h.check(topic); err != nil {
		return err
	}
	if h.Authorize != nil {
		if err := h.Authorize(c, topic); err != nil {
			return err
		}
	}
	return sc.subscribe(h, c, topic)
}

// subscribe is Subscribe when that is known to be allowed.
func (sc SubscribeConfig) subscribe(h *Hub, c *websocket.Conn, topic string) error {
	if err := h.start(); err != nil {
		return err
	}
	c.EngineConn().AddWork(subscribeWork)
	m := h.member(c)
	if m == nil {
		f := sc.Format
		if f == nil {
			f = h.Format
		}
		m = h.shardOf(c).join(c, f)
		m.conn = c
		if err := c.Attach(m); err != nil {
			m.leave()
			return err
		}
	}
	if err := m.shard.subscribe(m, topic, &sc); err != nil {
		return err
	}
	if !m.fresh && m.shard.names[topic].topic.options.Conflate {
		m.fresh = true
		c.EngineConn().SetWriteAhead(conflateAhead) // best effort: what the kernel takes gets old
	}
	return nil
}

// subscribeWork is what a client's request to subscribe, or to unsubscribe, counts as for its share
// of the turn, in bytes: it has ten of them, and may take microseconds.
const subscribeWork = 8 << 10

// conflateAhead is how much the kernel takes for a peer that does not read, of messages that newer
// ones might replace. Less would cost fast peers system calls.
const conflateAhead = 16 << 10

// member returns what the Hub knows of a connection, nil if it has never subscribed to anything.
func (h *Hub) member(c *websocket.Conn) *member {
	for _, a := range c.Attachments() {
		if m, ok := a.(*member); ok && m.shard.hub == h {
			return m
		}
	}
	return nil
}

// beginsTimes is how many times MaxTopicsPerConn topics a connection may have subscribed to that
// have not begun: it has left most of them.
const beginsTimes = 4

// subscribe makes a subscription, and begins it if the broker's has begun.
func (s *shard) subscribe(m *member, name string, sc *SubscribeConfig) error {
	e := s.names[name]
	switch {
	case e != nil && s.find(m, e) >= 0:
		return ErrSubscribed
	case len(m.subs) >= s.hub.limits.perConn:
		return ErrTooMany
	case sc.Recover && int(m.asks) >= s.hub.limits.perConn: // it has left what it has asked for
		return engine.ErrBusy
	case e == nil && int(m.begins)/beginsTimes >= s.hub.limits.perConn:
		return engine.ErrBusy
	case e == nil:
		var err error
		if e, err = s.entry(m, strings.Clone(name)); err != nil {
			return err
		}
	}
	s.add(m, e)
	i := uint32(len(e.subs) - 1)
	var join *follower
	if sc.Recover {
		join = &follower{at: sc.After, joins: true, arrives: sc.arrives}
	}
	to := s.slots.all[m.id]
	switch {
	case e.begun:
		s.welcome(to, e, i, join)
	case join != nil:
		s.setBehind(e, &e.subs[i], join)
	}
	s.appear(m, e, sc.Member)
	return nil
}

// Unsubscribe ends a subscription, on the connection's loop only. It reports whether there was one.
func (h *Hub) Unsubscribe(c *websocket.Conn, topic string) bool {
	m := h.member(c)
	if m == nil {
		return false
	}
	e := m.shard.names[topic]
	if e == nil {
		return false
	}
	i := m.shard.find(m, e)
	if i < 0 {
		return false
	}
	c.EngineConn().AddWork(subscribeWork)
	m.shard.remove(m, i)
	return true
}

// Subscriptions calls f with each topic that the connection has subscribed to, on its loop only,
// and with the position of the last message that was sent to it. That is zero if it has not got the
// newest message of a topic that conflates. f must not change the subscriptions. There are none any
// more when the callback Close comes; an Attachment made before the first subscription still has
// them when it is told of the end.
func (h *Hub) Subscriptions(c *websocket.Conn, f func(topic string, at Position)) {
	m := h.member(c)
	if m == nil {
		return
	}
	s := m.shard
	for _, r := range m.subs {
		f(s.entries.all[r.id].topic.name, s.position(m, r))
	}
}

// position returns that of the last message that a subscription of m was sent: see Subscriptions.
func (s *shard) position(m *member, r sub) Position {
	e := s.entries.all[r.id]
	at, flags := e.at, e.subs[r.at].id
	switch {
	case flags&isPending != 0:
		at = Position{}
	case flags&isBehind != 0:
		at = e.behind[m.id].at
	case s.awaits(e, r.at):
		at = s.fan.before
	}
	for _, claim := range e.claims[m.id] {
		if claim.isAfter(at) {
			at = claim
		}
	}
	return at
}

// Publish sends a message to all subscribers of a topic. It may be called from any goroutine, and
// does not block. It copies data. The error is ErrName, ErrClosed, ErrTooMany if the topic has to
// be kept and is one too many, an error for an op that is not that of a message, or that of the
// Broker: engine.ErrBusy if too much waits for it. A message that nobody hears is not an error.
func (h *Hub) Publish(topic string, op websocket.Opcode, data []byte) error {
	if err := h.start(); err != nil {
		return err
	}
	if err := h.check(topic); err != nil {
		return err
	}
	if op != websocket.Text && op != websocket.Binary {
		return errOpcode
	}
	err := h.broker.Publish(topic, op, data)
	if err == nil {
		h.retired.published.Add(1)
	}
	return err
}
