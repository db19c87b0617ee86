package topic

import (
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// A connection may have a hundred topics, and a thousand connections may be closed in one turn of
// the loop. To leave a topic takes microseconds, so those who have more than a few leave them
// later, in parts, between which other connections have their turn.
const (
	leaveAtOnce = 4  // topics
	leaveTurn   = 32 // topics in a turn, and one more for each leaveTurn/4 connections that leave
)

// gonePeer is the peer of a member whose connection is closed, and that has not left all topics.
type gonePeer struct{}

func (gonePeer) Send(websocket.Opcode, []byte) (engine.Pressure, error) {
	return engine.Sent, engine.ErrClosed
}
func (gonePeer) SendPrepared(*websocket.Prepared, engine.SlowPolicy) error { return engine.ErrClosed }
func (gonePeer) Pressure() engine.Pressure                                 { return engine.Sent }

// leaveLater makes a member leave in the next turns.
func (m *member) leaveLater() {
	s := m.shard
	s.slots.all[m.id].peer = gonePeer{}
	s.leaving = append(s.leaving, m)
	s.inbox.mu.Lock()
	s.wake()
	s.leaveIfEnded()
}

// leaveSome goes on with those who leave. Half of the budget is for others. The more leave, the
// more is done: clients may subscribe to topics and leave them as fast as they can.
func (s *shard) leaveSome(budget *int) {
	defer func() { *budget = max(*budget, deliveriesMax/2) }()
	for n := leaveTurn + len(s.leaving)/(leaveTurn/4); n > 0 && len(s.leaving) > 0; n-- {
		m := s.leaving[0]
		if last := len(m.subs) - 1; last >= 0 {
			*budget--
			s.remove(m, last)
			continue
		}
		s.leaving[0] = nil
		if s.leaving = s.leaving[1:]; len(s.leaving) == 0 {
			s.leaving = nil
		}
		m.leave()
	}
}

// leaveIfEnded makes all leave at once if the loop runs nothing more that is posted.
func (s *shard) leaveIfEnded() {
	for s.ended.Load() && len(s.leaving) > 0 {
		m := s.leaving[0]
		s.leaving = s.leaving[1:]
		m.leave()
	}
}
