package topic

import "time"

// interval is what Options.Interval needs. Its topic's lock protects it.
type interval struct {
	t       *topic
	sent    time.Time // when a message was sent last
	waiting *Message  // the newest one since then
}

// passes reports whether a message may be sent at once. If not, it waits.
func (i *interval) passes(m *Message) bool {
	h := i.t.hub
	if i.waiting != nil {
		i.waiting = m
		h.retired.conflated.Add(1)
		return false
	}
	now := h.clock.Now()
	if next := i.sent.Add(i.t.options.Interval); next.After(now) {
		i.waiting = m
		h.agenda.at(next, i.over)
		return false
	}
	i.sent = now
	return true
}

// over sends the message that waits.
func (i *interval) over() {
	t := i.t
	t.mu.Lock()
	defer t.mu.Unlock()
	m := i.waiting
	i.waiting = nil
	i.sent = t.hub.clock.Now()
	if m != nil && !t.gone {
		t.send(m, t.at)
	}
}
