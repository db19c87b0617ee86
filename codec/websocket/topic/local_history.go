package topic

import (
	"slices"
	"time"
)

// history is the newest messages of a topic, the oldest first.
type history struct {
	all   []kept
	bytes int
}

type kept struct {
	m  Message
	at time.Time
}

func (h *history) len() int { return len(h.all) }

// add adds a message, and drops the oldest ones that are too many.
func (h *history) add(m Message, now time.Time, o *Options) {
	h.all = append(h.all, kept{m, now})
	h.bytes += m.cost()
	n := max(0, len(h.all)-o.kept())
	size := h.bytes
	for i := range h.all[:n] {
		size -= h.all[i].m.cost()
	}
	for n < len(h.all)-1 && size > o.HistoryBytes {
		size -= h.all[n].m.cost()
		n++
	}
	h.drop(n)
}

// drop drops the n oldest messages.
func (h *history) drop(n int) {
	for i := range h.all[:n] {
		h.bytes -= h.all[i].m.cost()
		h.all[i].m.forms.release()
		h.all[i] = kept{}
	}
	if h.all = h.all[n:]; len(h.all) == 0 {
		h.all = nil
	}
}

// expire drops messages that are too old, but with Last the newest one.
func (h *history) expire(now time.Time, o *Options) {
	n, oldest := 0, now.Add(-o.HistoryAge)
	for n < len(h.all) && !h.all[n].at.After(oldest) {
		n++
	}
	if o.Last && n == len(h.all) {
		n = max(0, n-1)
	}
	h.drop(n)
}

// after returns at most limit messages after a position, the newest ones, and whether these are all
// of them up to the last one.
func (h *history) after(after, last Position, limit int) (msgs []Message, complete bool) {
	from := len(h.all)
	for from > 0 && len(h.all)-from < limit &&
		(after.Epoch != last.Epoch || h.all[from-1].m.Seq > after.Seq) {
		from--
	}
	msgs = slices.Grow(msgs, len(h.all)-from)
	for i := range h.all[from:] {
		msgs = append(msgs, h.all[from+i].m)
	}
	switch {
	case after == Position{}:
		complete = true
	case after.Epoch != last.Epoch:
	case len(msgs) == 0:
		complete = after.Seq >= last.Seq
	default:
		complete = msgs[0].Prev <= after.Seq
	}
	return msgs, complete
}
