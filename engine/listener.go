package engine

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// acceptRest is how long a listener pauses when the process or the system has no descriptor left.
const acceptRest = 100 * time.Millisecond

// Listener accepts connections. Its methods may be called from any goroutine.
//
// One loop accepts for all: it hands each connection to the loop that has the fewest, which costs one posted task for a
// connection's whole life and keeps long-lived connections in balance. docs/decisions/0001-accept.md has the figures.
type Listener struct {
	loop    *Loop
	fd      int
	token   driver.Token
	network string
	addr    netip.AddrPort
	path    string
	accept  func(*Conn) Protocol
	closed  atomic.Bool
	resting *Timer // while it cannot accept
	burst   int
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
func (l *Loop) listener(t driver.Token) *Listener {
	i := t.Slot() &^ driver.ListenerBit
	if int(i) >= len(l.listeners) {
		return nil
	}
	return l.listeners[i]
}

// listen takes ln to the loop. Slots of listeners are not used again, so their generation is always 1.
func (l *Loop) listen(ln *Listener) {
	if ln.closed.Load() || l.draining {
		l.engine.backend.CloseFd(ln.fd)
		ln.unlink()
		return
	}
	ln.token = driver.MakeToken(uint32(len(l.listeners))|driver.ListenerBit, 1)
	l.listeners = append(l.listeners, ln)
	if err := l.driver.Listen(ln.fd, ln.token); err != nil {
		l.config.Logger.Error("engine: cannot listen", "address", ln.String(), "error", err)
		l.closeListener(ln)
	}
}

func (l *Loop) closeListener(ln *Listener) {
	i := ln.token.Slot() &^ driver.ListenerBit
	if ln.token == 0 || l.listeners[i] == nil {
		return
	}
	l.listeners[i] = nil
	ln.closed.Store(true)
	if ln.resting != nil {
		ln.resting.Stop()
	}
	l.driver.Close(ln.fd, false)
	ln.unlink()
}

func (l *Loop) closeListeners() {
	for _, ln := range l.listeners {
		if ln != nil {
			l.closeListener(ln)
		}
	}
}

// rest pauses accepting after an error that another attempt at once would only meet again: there is no descriptor or no
// memory left. It is told once per rest, not once per connection.
func (ln *Listener) rest(err error) {
	l := ln.loop
	if ln.resting != nil {
		return
	}
	l.config.Logger.Warn("engine: cannot accept", "address", ln.String(), "error", err, "pause", acceptRest)
	if err := l.driver.SetListen(ln.fd, ln.token, false); err != nil {
		l.closeListener(ln)
		return
	}
	ln.resting = l.afterFunc(acceptRest, func() {
		ln.resting = nil
		if err := l.driver.SetListen(ln.fd, ln.token, true); err != nil {
			l.closeListener(ln)
		}
	})
}

// unlink removes the file of a unix socket. It is ours: we have bound it.
func (ln *Listener) unlink() {
	if ln.network == "unix" {
		os.Remove(ln.path)
	}
}
