package topic

// follower brings somebody who has missed messages from a position to the newest one: a topic, the
// subscribers of a loop, or one subscriber. While the Broker is asked for the history, it holds
// what comes live.
type follower struct {
	at      Position // of the last message that was handed on
	asking  bool     // Broker.History was called; otherwise it waits for something else
	quiet   bool     // of gaps: nothing is missed, or it does not matter
	cut     bool     // what it held was too much, and is in the history by now
	unsure  bool     // a gap must be told, whatever the history has
	joins   bool     // it waits for the begin of the broker's subscription
	waits   bool     // it waits until the peer, or the loop, has caught up
	moved   bool     // at is a position that the history knows
	arrives bool     // from another process: all topics have a history then
	from    uint64   // the epoch of what came live when History was asked
	held    []*Message
	bytes   int       // of held
	rounds  int       // how often History was called for it
	rest    []Message // of an answer that a loop takes in parts

	counted int // of member.held
}

const (
	heldMax      = 256      // messages
	heldBytesMax = 64 << 10 // and their bytes
	roundsMax    = 8        // then the history is too short to catch up
)

// fits is how a live message fits behind what was handed on. The history may be ahead of what comes
// live, and then also in a later epoch.
func (f *follower) fits(m *Message) fits {
	if f.moved && m.Epoch == f.from && f.at.Epoch != f.from {
		return fitsStale
	}
	return m.fitsBehind(f.at)
}

// isAhead reports whether f has come further than what comes live, which is at a position.
func (f *follower) isAhead(live Position) bool {
	return f.at.isAfter(live) || f.moved && f.at.Epoch != live.Epoch && live.Epoch == f.from
}

// fits is how a message fits behind a position.
type fits uint8

const (
	fitsNext  fits = iota
	fitsStale      // it is not after the position
	fitsHole       // there may be messages in between
)

func (m *Message) fitsBehind(at Position) fits {
	switch {
	case m.Epoch != at.Epoch:
		return fitsHole
	case m.Seq <= at.Seq:
		return fitsStale
	case m.Prev <= at.Seq:
		return fitsNext
	}
	return fitsHole
}

// ask notes that History is asked. live is where what comes live is.
func (f *follower) ask(live Position) {
	f.asking, f.waits, f.cut, f.rest = true, false, false, nil
	f.drop()
	if f.from != live.Epoch {
		f.from, f.moved = live.Epoch, false
	}
}

// hold keeps a live message while History is asked. What it held before is in the history if it
// becomes too much.
func (f *follower) hold(m *Message) {
	if f.cut {
		return
	}
	f.held = append(f.held, m)
	if f.bytes += m.cost(); len(f.held) > 1 && (len(f.held) > heldMax || f.bytes > heldBytesMax) {
		f.cut = true
		f.drop()
	}
}

// keep holds a message, and drops the oldest ones if that is too much. It returns how many.
func (f *follower) keep(m *Message) (dropped int) {
	f.held = append(f.held, m)
	f.bytes += m.cost()
	for dropped+1 < len(f.held) && (len(f.held)-dropped > heldMax || f.bytes > heldBytesMax) {
		f.bytes -= f.held[dropped].cost()
		dropped++
	}
	if dropped > 0 {
		f.held = append(f.held[:0], f.held[dropped:]...)
		clear(f.held[len(f.held):cap(f.held)])
	}
	return dropped
}

func (f *follower) drop() { f.held, f.bytes = nil, 0 }

// outcome is what answer has come to.
type outcome uint8

const (
	caughtUp outcome = iota
	askAgain         // there is more in the history
	stopped          // hand has returned false; what came is dropped
)

// answer hands on what History has found, and then what was held: only messages after the position,
// and behind gaps. hand gets either a message or a gap, and may return false: then it has not taken
// it.
func (f *follower) answer(msgs []Message, complete bool, hand func(m *Message, g *Gap) bool) outcome {
	f.asking = false
	f.rounds++
	held, cut := f.held, f.cut
	f.drop()
	f.cut = false
	f.moved = f.moved || complete && f.at != Position{} // the history knows the position
	gap := !complete && !f.quiet || f.unsure
	f.unsure = false
	next := func(m *Message) bool {
		if gap {
			if !hand(nil, &Gap{f.at, m.Position}) {
				return false
			}
			gap = false
			f.at = m.before() // not told again if hand does not take m
		}
		if !hand(m, nil) {
			return false
		}
		f.at = m.Position
		return true
	}
	for i := range msgs {
		m := &msgs[i]
		if m.Epoch == f.at.Epoch && m.Seq <= f.at.Seq {
			continue
		}
		gap = gap || !f.quiet && m.Epoch != f.at.Epoch
		if m.forms == nil {
			m.forms = new(forms)
		}
		if !next(m) {
			return stopped
		}
		f.quiet, f.moved = false, true
	}
	for _, m := range held {
		fits := f.fits(m)
		if fits == fitsStale {
			continue
		}
		if f.moved && f.at.Epoch != f.from && m.Epoch != f.at.Epoch {
			cut = true // of an epoch before that of the history, or a later one: the history has it
			continue
		}
		gap = gap || !f.quiet && fits == fitsHole
		if !next(m) {
			return stopped
		}
		f.quiet = false
	}
	switch {
	case gap && !hand(nil, &Gap{After: f.at}):
		return stopped
	case cut && f.rounds < roundsMax:
		return askAgain
	case cut && !gap && !f.quiet && !hand(nil, &Gap{After: f.at}):
		return stopped
	}
	return caughtUp
}

// part hands on the first messages of an answer. Until answer gets the rest, History counts as
// asked. It reports false if hand does: then the rest is dropped.
func (f *follower) part(msgs []Message, complete bool, hand func(m *Message, g *Gap) bool) bool {
	held, bytes, cut, rounds := f.held, f.bytes, f.cut, f.rounds
	f.held, f.bytes, f.cut = nil, 0, false
	if f.answer(msgs, complete, hand) == stopped {
		return false
	}
	f.asking, f.held, f.bytes, f.cut, f.rounds = true, held, bytes, cut, rounds
	return true
}
