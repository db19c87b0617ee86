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
func (a *acceptor) acceptFailed(err error) {
	l := a.loop
	if a.resume != nil || l.accepting.refusing {
		return
	}
	a.shortages++
	if a.shortages > shortagePauses {
		a.refuse()
	}
	if _, ok := a.logged.allow(l.now, shortageLog); ok {
		l.config.Logger.Warn("engine: cannot accept", "address", a.String(), "error", err, "refused", a.refused)
		a.refused = 0
	}
	a.pause(shortagePause)
}

// pause leaves peers in the backlog for d.
func (a *acceptor) pause(d time.Duration) {
	l := a.loop
	if a.resume != nil || a.resting || a.closed.Load() || l.stopping {
		return
	}
	a.setAccepting(false)
	if a.closed.Load() {
		return
	}
	a.resume = l.afterFunc(d, func() {
		a.resume = nil
		if l.accepting.spare < 0 { // refuse has lost it to another goroutine: it comes first
			l.openSpare()
		}
		a.setAccepting(true)
	})
}

// refuse accepts and closes the peers in the backlog, one after the other, using the spare
// descriptor.
func (a *acceptor) refuse() {
	l := a.loop
	if l.accepting.spare < 0 {
		return
	}
	l.engine.backend.CloseFd(l.accepting.spare)
	l.accepting.refusing = true
	l.poller.Accept(a.token, (*sink)(l))
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
