package engine

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/quota"
)

const (
	acceptTurn  = 64   // connections that a listener accepts per turn
	lastAccepts = 4096 // connections that a listener accepts from its backlog at shutdown
)

// accepting is what a loop keeps for its listeners.
type accepting struct {
	listeners []*Listener           // by slot; nil: closed
	admitted  paged.Array[admitted] // by slot of the connection, if it is counted
	spare     int                   // a descriptor for Listener.refuse; -1: none
	refusing  bool                  // accepted connections are closed
}

// Listener accepts connections. Its methods may be called from any goroutine.
//
// One loop accepts, and gives each connection to the loop with the fewest. That costs one posted
// task per connection, and keeps long-lived connections balanced; docs/decisions/0001-accept.md has
// the figures.
type Listener struct {
	loop    *loop
	network string
	addr    netip.AddrPort
	path    string
	options bool // the options must be set for each connection
	config  ListenConfig
	accept  func(*Conn) Protocol
	quota   quota.Limiter
	place   *Place      // of the one connection, if it is adopted
	shared  atomic.Bool // somebody else may have the same socket
	closed  atomic.Bool

	mu    sync.Mutex   // guards what follows
	fd    int          // -1: closed
	token driver.Token // once it is registered; only the loop sets it
	file  driver.File  // that we have made, and remove

	// Only the loop uses what follows.
	burst int           // connections in this turn
	paid  time.Duration // of AcceptRate: the connections so far are paid for up to this time

	resume    *Timer   // while it is paused
	shortages int      // in a row, without an accepted connection
	logged    logLimit // of the shortage
	refused   int      // connections that were closed at once since the last message
}

func newListener(network string, lc ListenConfig, accept func(*Conn) Protocol) *Listener {
	ln := &Listener{network: network, config: lc, accept: accept, paid: -time.Hour}
	ln.quota.Max, ln.quota.MaxPerClient = lc.MaxConnections, lc.MaxPerAddress
	inherits := inheritsOptions && network != "unix"
	ln.options = !inherits && (lc.KeepAlive > 0 || lc.ReadBuffer > 0 || lc.WriteBuffer > 0)
	return ln
}

// Addr returns the address that the listener is bound to, with the port that the kernel chose. It
// is the zero AddrPort for a unix socket.
func (ln *Listener) Addr() netip.AddrPort { return ln.addr }

// String returns the address, or the path of a unix socket.
func (ln *Listener) String() string {
	if ln.network == "unix" {
		return ln.path
	}
	return ln.addr.String()
}

// Close stops listening. When it returns, the socket is closed and the address is free; no other
// connection is accepted. Accepted connections stay open. A second Close returns ErrClosed.
func (ln *Listener) Close() error {
	if ln.closed.Swap(true) {
		return ErrClosed
	}
	ln.release()
	ln.loop.do(func() { ln.loop.closeListener(ln) }) // the error: it has ended, and forgotten ln
	return nil
}

// release closes the socket, once. Any goroutine may call it. The file goes first: see
// driver.File. If the socket is shared, somebody else may go on serving it under its name.
func (ln *Listener) release() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return
	}
	if !ln.shared.Load() {
		ln.file.Remove()
	}
	if ln.token == 0 {
		ln.loop.engine.backend.CloseFd(ln.fd)
	} else {
		ln.loop.poller.CloseListener(ln.fd, ln.token)
	}
	ln.fd = -1
}

// listener returns the listener that t names, nil if it is closed.
func (l *loop) listener(t driver.Token) *Listener {
	i := t.Slot() &^ driver.ListenerBit
	if int(i) >= len(l.accepting.listeners) {
		return nil
	}
	return l.accepting.listeners[i]
}

// listen adds ln to the loop. A listener's slot is not used again, so its generation is always 1.
func (l *loop) listen(ln *Listener) {
	if l.stopping {
		ln.closed.Store(true)
		ln.release()
		return
	}
	if l.accepting.spare < 0 {
		l.openSpare()
	}
	if err := l.registerListener(ln); err != nil {
		l.config.Logger.Error("engine: cannot listen", "address", ln.String(), "error", err)
		l.closeListener(ln)
	}
}

// registerListener gives ln a slot, unless it was closed meanwhile.
func (l *loop) registerListener(ln *Listener) error {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.fd < 0 {
		return nil
	}
	ln.token = driver.MakeToken(uint32(len(l.accepting.listeners))|driver.ListenerBit, 1)
	l.accepting.listeners = append(l.accepting.listeners, ln)
	return l.poller.RegisterListener(ln.fd, ln.token)
}

// setAccepting pauses and resumes accepting.
func (ln *Listener) setAccepting(accept bool) {
	ln.mu.Lock()
	var err error
	if ln.fd >= 0 {
		err = ln.loop.poller.SetAccepting(ln.fd, ln.token, accept)
	}
	ln.mu.Unlock()
	if err != nil {
		ln.loop.closeListener(ln)
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
	ln.release()
}

func (l *loop) closeListeners() {
	for _, ln := range l.accepting.listeners {
		if ln != nil {
			l.closeListener(ln)
		}
	}
}
