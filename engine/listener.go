package engine

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const (
	// shortagePause is how long a listener pauses when the process or the system has no descriptor left.
	shortagePause = 100 * time.Millisecond
	// shortagePauses is how many such pauses peers wait in the backlog for a descriptor to come free. Those that still wait then
	// are accepted with the help of the spare descriptor and closed at once: a refusal is better than silence.
	shortagePauses = 10
	// shortageLog is how often a lasting shortage is told.
	shortageLog = time.Minute
)

// Listener accepts connections. Its methods may be called from any goroutine.
//
// One loop accepts for all: it hands each connection to the loop that has the fewest, which costs one posted task for a
// connection's whole life and keeps long-lived connections in balance. docs/decisions/0001-accept.md has the figures.
type Listener struct {
	loop    *loop
	fd      int
	token   driver.Token
	network string
	addr    netip.AddrPort
	path    string
	owned   bool // we have bound path, and remove it
	config  ListenConfig
	accept  func(*Conn) Protocol
	closed  atomic.Bool
	census  census
	burst   int           // connections in this turn
	paid    time.Duration // by AcceptRate: accepting has been paid for up to then

	resume    *Timer        // while it does not accept
	shortages int           // without an accepted connection in between
	logged    time.Duration // when the shortage was last logged; 0: never
	refused   int           // connections that were closed at once, since then
}

func newListener(network string, lc ListenConfig, accept func(*Conn) Protocol) *Listener {
	return &Listener{network: network, config: lc, accept: accept, paid: -time.Hour}
}

// Addr is the address that is listened on, with the port that the kernel chose if it was 0; the zero AddrPort for a
// unix socket.
func (ln *Listener) Addr() netip.AddrPort { return ln.addr }

// String is the address as text, a path for a unix socket.
func (ln *Listener) String() string {
	if ln.network == "unix" {
		return ln.path
	}
	return ln.addr.String()
}

// Close stops listening. Connections that were accepted stay. A second Close returns ErrClosed.
func (ln *Listener) Close() error {
	if ln.closed.Swap(true) {
		return ErrClosed
	}
	return ln.loop.do(func() { ln.loop.closeListener(ln) })
}

// listener is the listener that t names, nil if it is closed.
func (l *loop) listener(t driver.Token) *Listener {
	i := t.Slot() &^ driver.ListenerBit
	if int(i) >= len(l.listeners) {
		return nil
	}
	return l.listeners[i]
}

// listen takes ln to the loop. Slots of listeners are not used again, so their generation is always 1.
func (l *loop) listen(ln *Listener) {
	if ln.closed.Load() || l.stopping {
		l.engine.backend.CloseFd(ln.fd)
		ln.unlink()
		return
	}
	if l.spare < 0 {
		l.openSpare()
	}
	ln.token = driver.MakeToken(uint32(len(l.listeners))|driver.ListenerBit, 1)
	l.listeners = append(l.listeners, ln)
	if err := l.driver.Listen(ln.fd, ln.token); err != nil {
		l.config.Logger.Error("engine: cannot listen", "address", ln.String(), "error", err)
		l.closeListener(ln)
	}
}

func (l *loop) closeListener(ln *Listener) {
	i := ln.token.Slot() &^ driver.ListenerBit
	if ln.token == 0 || l.listeners[i] == nil {
		return
	}
	l.listeners[i] = nil
	ln.closed.Store(true)
	if ln.resume != nil {
		ln.resume.Stop()
	}
	l.driver.Close(ln.fd, false)
	ln.unlink()
}

func (l *loop) closeListeners() {
	for _, ln := range l.listeners {
		if ln != nil {
			l.closeListener(ln)
		}
	}
}

// acceptFailed pauses accepting after an error that another attempt at once would only meet again: there is no descriptor or no
// memory left.
func (ln *Listener) acceptFailed(err error) {
	l := ln.loop
	if ln.resume != nil || l.refusing {
		return
	}
	if ln.shortages++; ln.shortages > shortagePauses {
		ln.refuse()
	}
	if ln.logged == 0 || l.now-ln.logged >= shortageLog {
		l.config.Logger.Warn("engine: cannot accept", "address", ln.String(), "error", err, "refused", ln.refused)
		ln.logged, ln.refused = max(l.now, 1), 0
	}
	ln.pause(shortagePause)
}

// pause leaves peers in the backlog for d.
func (ln *Listener) pause(d time.Duration) {
	l := ln.loop
	if ln.resume != nil || ln.closed.Load() || l.stopping {
		return
	}
	if err := l.driver.SetListen(ln.fd, ln.token, false); err != nil {
		l.closeListener(ln)
		return
	}
	ln.resume = l.afterFunc(d, func() {
		ln.resume = nil
		if err := l.driver.SetListen(ln.fd, ln.token, true); err != nil {
			l.closeListener(ln)
		}
	})
}

// refuse closes the peers that wait in the backlog, one after the other in the place of the spare descriptor.
func (ln *Listener) refuse() {
	l := ln.loop
	if l.spare < 0 {
		return
	}
	l.engine.backend.CloseFd(l.spare)
	l.refusing = true
	l.driver.Accept(ln.fd, ln.token, (*sink)(l))
	l.refusing = false
	l.openSpare()
}

func (l *loop) openSpare() {
	var err error
	if l.spare, err = l.engine.backend.Spare(); err != nil {
		l.spare = -1
	}
}

// unlink removes the file of a unix socket that is ours.
func (ln *Listener) unlink() {
	if ln.owned {
		os.Remove(ln.path)
	}
}
