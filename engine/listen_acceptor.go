package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
)

const (
	acceptTurn  = 8    // connections that a listener accepts per turn
	refuseTurn  = 128  // connections that a listener refuses in a pause: see acceptor.refuse
	lastAccepts = 4096 // connections that a listener accepts from its backlog at shutdown
	lastTurn    = 128  // how many of these in a turn
)

// accepting is what a loop keeps for its listening sockets.
type accepting struct {
	acceptors []*acceptor           // by slot; nil: closed
	admitted  paged.Array[admitted] // by slot of the connection, if it is counted
	spare     int                   // a descriptor for acceptor.refuse; -1: none
	refusing  bool                  // accepted connections are closed
	proxyLog  logLimit              // of refused PROXY headers
}

// any reports whether a socket listens.
func (a *accepting) any() bool {
	return slices.ContainsFunc(a.acceptors, func(a *acceptor) bool { return a != nil })
}

// acceptor is a listening socket of a Listener, with the loop that accepts from it.
type acceptor struct {
	*Listener
	loop   *loop
	closed atomic.Bool

	mu    sync.Mutex   // guards what follows
	fd    int          // -1: closed
	token driver.Token // once it is registered; only the loop sets it

	// Only the loop uses what follows.
	burst int           // connections in this turn, or since the loop began to stop
	until int           // when it stops, how far burst may go in this turn
	paid  time.Duration // of AcceptRate: the connections so far are paid for up to this time

	resting   bool     // another process accepts
	resume    *Timer   // while it is paused
	shortages int      // in a row, without an accepted connection
	logged    logLimit // of the shortage
	refused   int      // connections that were closed at once since the last message
}

// release closes the socket. It reports whether the socket was open. Any goroutine may call it. The
// file goes first: see driver.File. If the socket is shared, somebody else may go on serving it
// under its name.
func (a *acceptor) release() (wasOpen bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return false
	}
	a.closed.Store(true)
	if !a.shared.Load() {
		a.file.Remove()
	}
	if a.token == 0 {
		a.loop.engine.backend.CloseFd(a.fd)
	} else {
		a.loop.poller.CloseListener(a.fd, a.token)
	}
	a.fd = -1
	return true
}

// acceptor returns the socket that t names, nil if it is closed.
func (l *loop) acceptor(t driver.Token) *acceptor {
	i := t.Slot() &^ driver.ListenerBit
	if int(i) >= len(l.accepting.acceptors) {
		return nil
	}
	return l.accepting.acceptors[i]
}

// listen adds a to the loop. An acceptor's slot is not used again, so its generation is always 1.
func (l *loop) listen(a *acceptor) {
	if l.stopping {
		a.release()
		return
	}
	if l.accepting.spare < 0 {
		l.openSpare()
	}
	if err := l.registerAcceptor(a); err != nil {
		l.config.Logger.Error("engine: cannot listen", "address", a.String(), "error", err)
		l.closeAcceptor(a)
	}
}

// registerAcceptor gives a its slot, unless it was closed meanwhile, or has one: see startHeld.
func (l *loop) registerAcceptor(a *acceptor) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 || a.token != 0 {
		return nil
	}
	a.token = driver.MakeToken(uint32(len(l.accepting.acceptors))|driver.ListenerBit, 1)
	l.accepting.acceptors = append(l.accepting.acceptors, a)
	if a.bound {
		if err := startListening(a.fd, a.config.Backlog); err != nil {
			return err
		}
	}
	return l.poller.RegisterListener(a.fd, a.token)
}

// setAccepting pauses and resumes accepting.
func (a *acceptor) setAccepting(accept bool) {
	a.mu.Lock()
	var err error
	if a.fd >= 0 {
		err = a.loop.poller.SetAccepting(a.fd, a.token, accept)
	}
	a.mu.Unlock()
	if err != nil {
		a.loop.closeAcceptor(a)
	}
}

func (l *loop) closeAcceptor(a *acceptor) {
	i := a.token.Slot() &^ driver.ListenerBit
	if a.token == 0 || l.accepting.acceptors[i] == nil {
		return
	}
	l.accepting.acceptors[i] = nil
	if a.resume != nil {
		a.resume.Stop()
	}
	a.release()
}

func (l *loop) closeAcceptors() {
	for _, a := range l.accepting.acceptors {
		if a != nil {
			l.closeAcceptor(a)
		}
	}
}
