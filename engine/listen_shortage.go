package engine

import "time"

const (
	// shortagePause is how long a listener pauses when there is no descriptor left.
	shortagePause = 100 * time.Millisecond
	// shortagePauses is how many such pauses peers wait in the backlog. Then they are accepted, by
	// means of the spare descriptor, and closed at once: a refusal is better than silence.
	shortagePauses = 10
	// shortageLog is the time between two messages about a lasting shortage.
	shortageLog = time.Minute
)

// acceptFailed pauses accepting after an error that would occur again at once: no descriptors or no
// memory.
func (ln *Listener) acceptFailed(err error) {
	l := ln.loop
	if ln.resume != nil || l.accepting.refusing {
		return
	}
	ln.shortages++
	if ln.shortages > shortagePauses {
		ln.refuse()
	}
	if _, ok := ln.logged.allow(l.now, shortageLog); ok {
		l.config.Logger.Warn("engine: cannot accept", "address", ln.String(), "error", err, "refused", ln.refused)
		ln.refused = 0
	}
	ln.pause(shortagePause)
}

// pause leaves peers in the backlog for d.
func (ln *Listener) pause(d time.Duration) {
	l := ln.loop
	if ln.resume != nil || ln.closed.Load() || l.stopping {
		return
	}
	ln.setAccepting(false)
	if ln.closed.Load() {
		return
	}
	ln.resume = l.afterFunc(d, func() {
		ln.resume = nil
		if l.accepting.spare < 0 { // refuse has lost it to another goroutine: it comes first
			l.openSpare()
		}
		ln.setAccepting(true)
	})
}

// refuse accepts and closes the peers in the backlog, one after the other, using the spare
// descriptor.
func (ln *Listener) refuse() {
	l := ln.loop
	if l.accepting.spare < 0 {
		return
	}
	l.engine.backend.CloseFd(l.accepting.spare)
	l.accepting.spare = -1
	l.accepting.refusing = true
	l.poller.Accept(ln.token, (*sink)(l))
	l.accepting.refusing = false
	l.openSpare()
}

func (l *loop) openSpare() {
	fd, err := l.engine.backend.Spare()
	if err != nil {
		fd = -1
	}
	l.accepting.spare = fd
}
