package topic

import (
	"sync/atomic"
	"time"
)

// historyWait is how long a Broker may take to answer History. Then it counts as not knowing: the
// subscribers have a gap, instead of nothing more.
const historyWait = time.Minute

// history is Broker.History. done is called once, also if the Broker never answers.
func (h *Hub) history(name string, after Position, limit int, done func(msgs []Message, complete bool)) {
	var answered atomic.Bool
	h.agenda.at(h.clock.Now().Add(historyWait), func() {
		if !answered.Swap(true) {
			done(nil, false)
		}
	})
	h.broker.History(name, after, limit, func(msgs []Message, complete bool, err error) {
		if !answered.Swap(true) {
			done(msgs, complete && err == nil)
		}
	})
}
