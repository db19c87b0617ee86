package topic

import "time"

// sink is the Hub as its Broker sees it. Converting the pointer costs nothing.
type sink Hub

var _ Sink = (*sink)(nil)

// Subscribed implements Sink.
func (k *sink) Subscribed(name string, at Position) {
	h := (*Hub)(k)
	t := h.find(name)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.state == begun:
		if at != t.at && t.behind == nil {
			t.lost()
		}
	case t.state != asked || t.behind != nil:
	case t.options.Last: // which new subscribers get at once
		t.at = at
		t.behind = &follower{at: at}
		t.ask(t.behind, Position{}, 1, t.beginWith)
	default:
		t.at = at
		t.begin()
	}
}

// begin tells all loops that the broker's subscription has begun.
func (t *topic) begin() {
	t.state = begun
	for i := range t.interests {
		t.give(&t.interests[i], item{kind: itemBegin, m: t.newest, more: &more{at: t.start()}}, t.at)
	}
	t.tellEarly()
}

// start returns the position after which new subscribers get messages.
func (t *topic) start() Position {
	if i := t.interval; i != nil && i.waiting != nil {
		return Position{i.waiting.Epoch, i.waiting.Prev}
	}
	return t.at
}

// beginWith is begin when the newest message has come.
func (t *topic) beginWith(f *follower, msgs []Message, complete bool) {
	if n := len(msgs); n > 0 {
		m := msgs[n-1].alone()
		if m.forms == nil {
			m.forms = new(forms)
		}
		t.keepNewest(m)
		if m.Epoch != t.at.Epoch || m.isAfter(t.at) { // then what comes live is older at first
			t.enter(m.Epoch)
			t.at, f.at, f.moved = m.Position, m.Position, true
		}
	}
	t.begin()
	t.answered(f, nil, true)
}

// Deliver implements Sink.
func (k *sink) Deliver(name string, m Message) {
	h := (*Hub)(k)
	if t := h.find(name); t != nil {
		if m.forms == nil {
			m.forms = new(forms)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.deliver(&m)
	}
}

func (t *topic) deliver(m *Message) {
	switch {
	case t.behind != nil:
		t.behind.hold(m)
		return
	case t.gone, t.state != begun, t.isFormer(m):
		return
	}
	switch m.fitsBehind(t.at) {
	case fitsStale:
		return
	case fitsHole:
		switch {
		case t.options.Conflate, t.loose:
		case t.options.kept() == 0:
			t.tell(Gap{t.at, m.Position})
		default:
			t.chase()
			t.behind.hold(m)
			return
		}
	}
	t.hand(m)
}

// enter notes that an epoch begins.
func (t *topic) enter(epoch uint64) {
	if epoch != t.at.Epoch {
		t.former, t.entered = t.at.Epoch, t.hub.clock.Now()
	}
}

// isFormer reports whether a message is a late one of the epoch before. That is so for a while
// only: if epochs have changed twice at once, the order may have been the other one.
func (t *topic) isFormer(m *Message) bool {
	return m.Epoch == t.former && m.Epoch != t.at.Epoch && t.hub.clock.Now().Before(t.entered.Add(formerTime))
}

// formerTime is how much earlier the history may have a message than it comes live.
const formerTime = 5 * time.Second

// chase asks for the messages after the last one.
func (t *topic) chase() {
	t.behind = &follower{at: t.at}
	t.ask(t.behind, t.at, t.options.asked(), t.answered)
}

// ask calls Broker.History, and then does done, with t.mu locked, unless the follower is not the
// topic's any more.
func (t *topic) ask(f *follower, after Position, limit int, done func(*follower, []Message, bool)) {
	f.ask(t.at)
	t.hub.async(func() {
		t.hub.history(t.name, after, limit, func(msgs []Message, complete bool) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.behind == f && f.asking {
				done(f, msgs, complete)
			}
		})
	})
}

// answered goes on with what History has found.
func (t *topic) answered(f *follower, msgs []Message, complete bool) {
	t.loose = false
	switch f.answer(msgs, complete, func(m *Message, g *Gap) bool {
		if g == nil {
			t.hand(t.options.mine(m))
			t.hub.retired.recovered.Add(1)
			return true
		}
		t.loose = g.Next == Position{}
		t.tell(*g)
		return true
	}) {
	case askAgain:
		t.ask(f, f.at, t.options.asked(), t.answered)
	default:
		t.behind = nil
	}
}

// Lost implements Sink.
func (k *sink) Lost(name string) {
	if t := (*Hub)(k).find(name); t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lost()
	}
}

// lost finds out what was lost after the last message.
func (t *topic) lost() {
	switch {
	case t.behind != nil:
		t.behind.cut = true // it asks again
		t.behind.drop()
	case t.state != begun:
	case t.options.asked() > 0:
		t.chase()
		t.behind.quiet = t.options.Conflate
	case !t.loose:
		t.loose = true
		t.tell(Gap{After: t.at})
	}
}

// hand hands a message on to all loops, unless it has to wait for the Interval to end.
func (t *topic) hand(m *Message) {
	before := t.at
	t.enter(m.Epoch)
	t.at, t.loose = m.Position, false
	if t.interval == nil || t.interval.passes(m) {
		t.send(m, before)
	}
}

// send gives a message to all loops. before is the position of the one before it.
func (t *topic) send(m *Message, before Position) {
	if t.options.keepsNewest() {
		before = t.sent(before)
		t.keepNewest(m)
	}
	for i := range t.interests {
		t.give(&t.interests[i], item{kind: itemMessage, m: m}, before)
	}
}

// keepNewest makes a message the newest one that was sent; nil: none. What was made of it for
// subscribers counts as that of histories.
func (t *topic) keepNewest(m *Message) {
	if t.newest != nil {
		t.newest.forms.release()
	}
	if t.gone { // nobody would release it
		m = nil
	}
	if t.newest = m; m != nil {
		m.forms.keep(t.hub.forms)
	}
}

// mine returns a message of an answer as subscribers get it: some may keep it.
func (o *Options) mine(m *Message) *Message {
	if o.keepsNewest() {
		return m.alone()
	}
	return m
}

// sent returns the position of the message that was sent last, which is at unless there is an
// Interval.
func (t *topic) sent(at Position) Position {
	if t.options.Conflate && t.newest != nil {
		return t.newest.Position
	}
	return at
}

// tell tells all loops of a gap.
func (t *topic) tell(g Gap) {
	if t.options.Conflate {
		return
	}
	for i := range t.interests {
		t.give(&t.interests[i], item{kind: itemGap, more: &more{gap: g}}, g.After)
	}
	if g.Next != (Position{}) {
		t.enter(g.Next.Epoch)
		t.at = g.Next.before()
	}
}
