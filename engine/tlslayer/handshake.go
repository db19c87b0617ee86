package tlslayer

import (
	"container/list"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/quota"
)

// The errors of handshakes that fail for another reason than what the peer has sent.
var (
	// ErrTimeout means that a handshake whose ClientHello has come has taken longer than
	// Config.HandshakeTimeout. A client that says nothing ends with engine.ErrTimeout.
	ErrTimeout error = &failure{"tlslayer: handshake timeout", engine.CauseTimeout}
	// ErrBusy means that too many handshakes were waiting, or had received too much, or were of one
	// address. It may be wrapped.
	ErrBusy error = &failure{"tlslayer: too many handshakes", engine.CauseRefused}
)

// errHeld is the ErrBusy of a handshake for whose bytes there is no room.
var errHeld error = busy{errors.New("more than Config.MaxHandshakeBytes were received")}

// busy is ErrBusy with a cause.
type busy struct{ cause error }

func (b busy) Error() string   { return ErrBusy.Error() + ": " + b.cause.Error() }
func (b busy) Unwrap() []error { return []error{ErrBusy, b.cause} }

// failure is an error with a class of its own in engine.Stats.
type failure struct {
	text  string
	cause engine.Cause
}

func (f *failure) Error() string       { return f.text }
func (f *failure) Cause() engine.Cause { return f.cause }

// handshake is fed bytes, and gives bytes to send: it does no I/O. crypto/tls does the work, in a
// goroutine that has its turn when the whole ClientHello is there.
//
//	gathering --> waiting --> running <--> blocked --> done
//	   |             |           |            |          ^
//	   +-------------+-----------+------------+----------+
//	                     an error, or cancel
//
// In gathering and waiting there is no goroutine. It is blocked while it waits for a record of the
// peer, or for its turn to go on after one has come.
type handshake struct {
	layer    *Layer
	deadline time.Time
	notify   func()
	conn     *tls.Conn // nil until the goroutine of a server begins
	wire     *wire
	keys     keys          // only the goroutine uses it
	client   *quota.Client // whose share it is part of; nil: none

	prefix     netip.Prefix // who the peer is; the zero value: not known
	serverName string       // that the client has asked for; only the goroutine uses it

	// pool's, under its lock
	exited  bool
	hasTurn bool
	leaving bool        // it is to make room for another one
	waits   uint64      // since which count of the pool's it waits for its peer; 0: it does not
	since   time.Time   // the same
	owner   *poolClient // since it waits to begin; nil: not yet

	// heldBytes's, under its lock
	held    int           // bytes that count
	partial *list.Element // in heldBytes.partial; nil: it is not there

	mu     sync.Mutex
	state  state
	in     []byte // fed, and not read yet
	left   int    // of a record that was read in part
	hello  helloScan
	out    []byte // to send
	eof    bool   // nothing comes behind in
	err    error
	stream layer.Stream // the result
	info   tls.ConnectionState
	wake   chan struct{} // for the goroutine that is blocked
}

type state uint8

const (
	gathering state = iota
	waiting
	running
	blocked
	done
)

// maxFed is how much a handshake keeps of what it is fed: a record of any length, and a few more.
const maxFed = headerLen + maxRecord12 + 16<<10

// maxGathered is how much it keeps before it has a whole ClientHello, with room for the headers of
// 200 records.
const maxGathered = maxHello + 1<<10

// server returns a handshake with a client. notify is called by other goroutines, when there is
// something to send, or when the handshake is done; it must not block.
func (l *Layer) server(local, remote net.Addr, notify func()) *handshake {
	h := l.begin(local, remote, notify)
	if h.prefix.IsValid() {
		var err error
		if h.client, err = l.shares.Acquire(h.prefix); err != nil {
			h.cancel(busy{err})
		}
	}
	return h
}

// client returns a handshake with a server, which begins at once.
func (l *Layer) client(config *tls.Config, local, remote net.Addr, notify func()) *handshake {
	h := l.begin(local, remote, notify)
	h.keys.client = true
	h.conn = tls.Client(h.wire, h.logged(config))
	h.state = waiting
	l.pool.submit(h)
	return h
}

func (l *Layer) begin(local, remote net.Addr, notify func()) *handshake {
	h := &handshake{layer: l, notify: notify, deadline: time.Now().Add(l.config.HandshakeTimeout)}
	h.wire = &wire{handshake: h, local: local, remote: remote}
	if a, ok := remote.(*net.TCPAddr); ok {
		h.prefix = quota.Prefix(a.AddrPort().Addr())
	}
	l.stats.begun()
	return h
}

// Feed implements layer.Handshake. It copies what it takes.
func (h *handshake) Feed(b []byte) (n int, err error) {
	h.mu.Lock()
	if h.state == done {
		defer h.mu.Unlock()
		return 0, h.err
	}
	limit := maxFed
	if h.state == gathering {
		limit = maxGathered
	}
	n = max(0, min(len(b), limit-len(h.in)))
	victims, ok := h.layer.held.hold(h, n)
	defer func() {
		for _, v := range victims {
			v.drop(errHeld)
		}
	}()
	if !ok {
		h.mu.Unlock()
		h.cancel(errHeld)
		return 0, errHeld
	}
	h.in = append(h.in, b[:n]...)
	resume := false
	switch {
	case h.state == gathering:
		whole, alert, err := h.hello.whole(h.in)
		if !whole && err == nil && len(h.in) == maxGathered { // in many tiny records
			alert, err = alertInternalError, tls.AlertError(alertInternalError)
		}
		switch {
		case err != nil:
			h.mu.Unlock()
			h.refuse(alert, err)
			return n, err
		case whole:
			h.state, resume = waiting, true
			h.layer.held.whole(h)
		default:
			h.layer.held.wait(h)
		}
	case h.state == blocked && h.err == nil && h.hasRecord(): // Cancel has woken it otherwise
		h.state, resume = running, true
	}
	h.mu.Unlock()
	if resume {
		h.layer.pool.submit(h)
	}
	return n, nil
}

// ReadClosed implements layer.Handshake.
func (h *handshake) ReadClosed() (left bool) {
	h.mu.Lock()
	h.eof = true
	resume := h.state == blocked && h.err == nil
	if resume {
		h.state = running
	}
	left = h.state == gathering
	h.mu.Unlock()
	switch {
	case resume:
		h.layer.pool.submit(h)
	case left:
		h.cancel(io.EOF)
	}
	return left
}

// Output implements layer.Handshake.
func (h *handshake) Output(dst []byte) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	dst = append(dst, h.out...)
	h.out = nil
	return dst
}

// Done implements layer.Handshake.
func (h *handshake) Done() (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == done, h.err
}

// Stream implements layer.Handshake.
func (h *handshake) Stream(shared *any) (s layer.Stream, rest []byte) {
	s, info, rest := h.take(loopOf(shared))
	if r, ok := s.(*records); ok {
		r.more().state = &info
	}
	return s, rest
}

// take returns the result of a handshake that has succeeded, for a connection of l, and the bytes
// that were fed and belong behind the handshake. It is called once.
func (h *handshake) take(l *loop) (s layer.Stream, info tls.ConnectionState, rest []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r, ok := h.stream.(*records); ok {
		r.loop = l
	}
	s, info, rest = h.stream, h.info, h.in
	h.layer.held.release(h, 0)
	h.stream, h.in, h.conn = nil, nil, nil
	return s, info, rest
}

// Cancel implements layer.Handshake. If the handshake has succeeded, nobody will take the result.
func (h *handshake) Cancel(err error) {
	h.cancel(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == done {
		h.layer.held.release(h, 0)
		h.stream, h.in, h.conn = nil, nil, nil
	}
}

// cancel ends a handshake that is in progress. A goroutine that is blocked wakes up, and ends soon.
func (h *handshake) cancel(err error) {
	h.mu.Lock()
	if h.state == done || h.err != nil {
		h.mu.Unlock()
		return
	}
	h.err = err
	idle := h.state == gathering || h.state == waiting
	if idle {
		h.end()
	}
	wake := h.wake
	h.mu.Unlock()
	if idle {
		h.layer.pool.remove(h)
		h.logFailure(err)
		return
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

// refuse ends a handshake that has no goroutine, with an alert if it is not 0.
func (h *handshake) refuse(alert uint8, err error) {
	if alert != 0 {
		h.mu.Lock()
		h.out = append(h.out, typeAlert, 3, 1, 0, 2, levelError, alert)
		h.mu.Unlock()
	}
	h.cancel(err)
}

// end gives back what only a handshake in progress needs. h.mu is held.
func (h *handshake) end() {
	h.state = done
	h.layer.stats.ended(h)
	if h.client != nil {
		h.layer.shares.Release(h.client)
	}
	if h.err != nil {
		h.in, h.conn = nil, nil
	}
	h.layer.held.release(h, len(h.in))
}
