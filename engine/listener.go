package engine

import (
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/quota"
)

const (
	acceptTurn  = 64   // connections that a listener hands over per turn
	lastAccepts = 4096 // connections that a listener takes out of its backlog at shutdown, at most
)

// accepting is a loop's part of listeners.
type accepting struct {
	listeners []*Listener           // by slot; nil: closed
	admitted  paged.Array[admitted] // by slot of the connection, of those that are counted
	spare     int                   // a descriptor for Listener.refuse; -1: none
	refusing  bool                  // what is accepted is closed
}

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
	options bool // each connection needs its options set
	config  ListenConfig
	accept  func(*Conn) Protocol
	closed  atomic.Bool
	quota   quota.Limiter
	burst   int           // connections in this turn
	paid    time.Duration // by AcceptRate: accepting has been paid for up to then

	resume    *Timer   // while it does not accept
	shortages int      // without an accepted connection in between
	logged    logLimit // of the shortage
	refused   int      // connections that were closed at once since it was logged
}

func newListener(network string, lc ListenConfig, accept func(*Conn) Protocol) *Listener {
	ln := &Listener{network: network, config: lc, accept: accept, paid: -time.Hour}
	ln.quota.Max, ln.quota.MaxPerClient = lc.MaxConnections, lc.MaxPerAddress
	inherits := inheritsOptions && network != "unix"
	ln.options = !inherits && (lc.KeepAlive > 0 || lc.ReadBuffer > 0 || lc.WriteBuffer > 0)
	return ln
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
	if int(i) >= len(l.accepting.listeners) {
		return nil
	}
	return l.accepting.listeners[i]
}

// listen takes ln to the loop. Slots of listeners are not used again, so their generation is always 1.
func (l *loop) listen(ln *Listener) {
	if ln.closed.Load() || l.stopping {
		l.engine.backend.CloseFd(ln.fd)
		ln.unlink()
		return
	}
	if l.accepting.spare < 0 {
		l.openSpare()
	}
	ln.token = driver.MakeToken(uint32(len(l.accepting.listeners))|driver.ListenerBit, 1)
	l.accepting.listeners = append(l.accepting.listeners, ln)
	if err := l.poller.RegisterListener(ln.fd, ln.token); err != nil {
		l.config.Logger.Error("engine: cannot listen", "address", ln.String(), "error", err)
		l.closeListener(ln)
	}
}

func (l *loop) closeListener(ln *Listener) {
	i := ln.token.Slot() &^ driver.ListenerBit
	if ln.token == 0 || l.accepting.listeners[i] == nil {
		return
	}
	l.accepting.listeners[i] = nil
	ln.closed.Store(true)
	if ln.resume != nil {
		ln.resume.Stop()
	}
	l.poller.Close(ln.fd, false)
	ln.unlink()
}

func (l *loop) closeListeners() {
	for _, ln := range l.accepting.listeners {
		if ln != nil {
			l.closeListener(ln)
		}
	}
}

// unlink removes the file of a unix socket that is ours.
func (ln *Listener) unlink() {
	if ln.owned {
		os.Remove(ln.path)
	}
}
