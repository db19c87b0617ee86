package topic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/saved"
)

var (
	_ websocket.Mover = (*Hub)(nil)
	_ engine.Link     = (*Hub)(nil)
)

// savedFormat is the format of saved subscriptions:
//
//	format, 1 if they have a Format of their own, number of them, and for each
//	name, flags, [position], [member]
const savedFormat = 1

// The flags of a saved subscription.
const (
	savedPosition = 1 << iota
	savedWelcomed // Format.Subscribed was sent
	savedMember
	savedFlags
)

// Owns implements websocket.Mover.
func (h *Hub) Owns(a websocket.Attachment) bool {
	m, ok := a.(*member)
	return ok && m.shard.hub == h
}

// Save implements websocket.Mover. It saves the subscriptions of a connection.
func (h *Hub) Save(c *websocket.Conn, dst []byte) ([]byte, error) {
	m := h.member(c)
	if m == nil {
		return append(dst, savedFormat, 0, 0), nil
	}
	s := m.shard
	for i := range s.told {
		if s.told[i].member == m {
			return dst, saved.Unmovable("topic.Hub.Gap is called soon")
		}
	}
	own := byte(0)
	if s.formats[m.format].Format != h.Format {
		own = 1
	}
	dst = binary.AppendUvarint(append(dst, savedFormat, own), uint64(len(m.subs)))
	for _, r := range m.subs {
		dst = s.save(dst, m, r)
	}
	return dst, nil
}

// save appends a subscription.
func (s *shard) save(dst []byte, m *member, r sub) []byte {
	e := s.entries.all[r.id]
	flags, at := byte(0), s.position(m, r)
	switch f := e.behind[m.id]; {
	case e.begun:
		flags = savedPosition | savedWelcomed
	case f != nil:
		flags, at = savedPosition, f.at
	}
	id, isMember := e.present[m.id]
	var who Member
	if isMember {
		flags |= savedMember
		e.topic.mu.Lock()
		if p := e.topic.present[id]; p != nil {
			who = p.member
		}
		e.topic.mu.Unlock()
		who.ID = id
	}
	dst = append(saved.AppendBytes(dst, e.topic.name), flags)
	if flags&savedPosition != 0 {
		dst = appendPosition(dst, at)
	}
	if isMember {
		dst = appendMember(dst, &who)
	}
	return dst
}

// Load implements websocket.Mover: it subscribes a connection of another process to what it was
// subscribed to there, without telling it. It gets what it has missed meanwhile. Authorize is not
// asked.
func (h *Hub) Load(c *websocket.Conn, state []byte) error {
	if len(state) > 1 && state[1] != 0 {
		return errors.New("topic: the subscriptions have a Format of their own, for SubscribeConfig.Load")
	}
	return SubscribeConfig{Format: h.Format}.Load(h, c, state)
}

// Load is Hub.Load for subscriptions with a Format. Other fields of sc are not used.
func (sc SubscribeConfig) Load(h *Hub, c *websocket.Conn, state []byte) error {
	r := saved.NewReader(state)
	r.Check(r.Byte() == savedFormat && r.Byte() <= 1)
	for n := r.Uvarint(math.MaxInt32); n > 0 && r.Err() == nil; n-- {
		name, flags := readName(&r), r.Byte()
		r.Check(flags < savedFlags)
		one := SubscribeConfig{Format: sc.Format, Recover: flags&savedPosition != 0}
		one.arrives = flags&savedWelcomed != 0
		if one.Recover {
			one.After = readPosition(&r)
		}
		if flags&savedMember != 0 {
			m := readMember(&r)
			one.Member = &m
		}
		if r.Err() != nil {
			break
		}
		if err := one.subscribe(h, c, name); err != nil {
			return fmt.Errorf("topic: subscription to %q: %w", name, err)
		}
	}
	r.Check(len(r.Rest()) == 0)
	return r.Err()
}

// movedGrace is how long a member whose connection has moved to another process is still present
// here, until it has joined there.
const movedGrace = 10 * time.Second

// departs makes a member leave whose connection has closed, or moved: see absent.
func (s *shard) departs(m *member, t *topic, id string) {
	h := s.hub
	if m.moved {
		h.agenda.at(h.clock.Now().Add(movedGrace), func() { h.depart(t, id) })
		return
	}
	h.depart(t, id)
}
