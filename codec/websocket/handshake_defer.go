package websocket

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Deferred is an opening handshake that is decided later, after Handshake.Defer. Its methods may be
// called by any goroutine.
type Deferred struct {
	handle  Handle
	context context.Context
	decided atomic.Bool

	// For the loop only.
	head        []byte // a copy of the request
	subprotocol string
	plain       bool // NoCompression
	paused      bool // reading is, since the client has sent more than its request
	held        int  // memory that counts for engine.Config.MaxBuffered
	request     *http.Request
	header      http.Header
}

// ErrDecided means that Deferred.Decide was called before.
var ErrDecided = errors.New("websocket: the handshake is decided already")

var errUndecided = reject(503, "RFC 9110 section 15.6.4", "no decision within the time for it")

// Defer puts the decision off until Deferred.Decide, so that a goroutine may look something up: the
// callback must not block its loop. What the callback has set in h is kept. If it refuses as well,
// that counts.
//
// Until the decision the handshake counts as one in progress, for MaxHandshakes and for
// HandshakeTimeout. After the latter, and when the engine shuts down, the client gets status 503.
// Bound what waits elsewhere, too: each client can make the program ask once.
//
// It may be called in the callback Server.Handshake, and in the function of Decide, where it begins
// another wait with a new Deferred. For one Handshake it returns the same Deferred each time.
func (h *Handshake) Defer() *Deferred {
	if h.Raw == nil {
		panic("websocket: Handshake.Defer after the callback Handshake has returned")
	}
	if h.deferred == nil {
		h.deferred = &Deferred{handle: h.Conn.Handle(), context: h.Conn.Context()}
	}
	return h.deferred
}

// Context returns a context that ends with the connection: for the look-up. If a client has sent
// frames without waiting for the answer, its end goes unnoticed until the decision.
func (d *Deferred) Context() context.Context { return d.context }

// Decide calls f on the connection's loop. The Handshake that f gets is another one than that of
// the callback Server.Handshake, with what that has set, and is valid during f: use it, not a
// captured one. f may do what the callback may. The handshake is accepted unless f refuses it, or
// calls Defer, which puts the decision off again.
//
// The error is ErrDecided after the first call, or engine.ErrClosed if the connection has ended.
// Then f is not called, nor is it if the connection ends before the loop comes to it.
func (d *Deferred) Decide(f func(*Handshake)) error {
	if f == nil {
		return d.handle.Post(nil) // which has the error
	}
	if !d.decided.CompareAndSwap(false, true) {
		return ErrDecided
	}
	err := d.handle.Post(func(c *Conn) { c.decide(d, f) })
	if err != nil {
		d.decided.Store(false)
	}
	return err
}

// putOff keeps of a handshake what its decision needs.
func (c *Conn) putOff(o *opening, head []byte) {
	h, d := o.handshake, o.handshake.deferred
	d.head = head
	d.subprotocol, d.plain, d.request, d.header = h.Subprotocol, h.NoCompression, h.request, h.header
	if d.held = deferredCost + cap(head); d.request != nil {
		d.held += requestTimes * len(head)
	}
	c.makeRare().deferred = d
	c.conn.AddHeld(d.held)
}

const (
	deferredCost = 512 // about the memory of a Deferred, with its Context
	requestTimes = 3   // how many times larger an http.Request is than its head, about
)

// takeDeferred ends putOff.
func (c *Conn) takeDeferred() {
	c.conn.AddHeld(-c.rare.deferred.held)
	c.rare.deferred = nil
}

// deferred returns the handshake that waits for its decision; nil: there is none.
func (c *Conn) deferred() *Deferred {
	if c.rare == nil {
		return nil
	}
	return c.rare.deferred
}

// early is what the client has sent behind its request, before the answer. It stays in the input.
func (c *Conn) early(src []byte) {
	if d := c.deferred(); d != nil && len(src) > 0 && c.conn.Reading() {
		d.paused = true
		c.conn.PauseRead()
	}
}

// unlimited are the limits of a head that was read before. Those may have been of a Mux.
var unlimited = Limits{MaxHeader: -1, MaxStartLine: -1, MaxHeaderFields: -1}

// reopen reads the request again, into a Handshake as the callback has left it. There is no error,
// because there was none before.
func (c *Conn) reopen(o *opening, d *Deferred) (key []byte) {
	handshake.ParseRequest(d.head, nil, &o.request, &unlimited)
	o.request.Secure = c.tlsState() != nil
	if c.rare != nil && c.rare.front != nil {
		o.request.CheckHost(c.rare.front.Hosts) // which CheckOrigin looks at
	}
	key, _, _ = c.service.server.judge(&o.request)
	*o.use(true) = Handshake{Raw: &o.request, Conn: c, Subprotocol: d.subprotocol, NoCompression: d.plain,
		request: d.request, header: d.header}
	return key
}

// decide ends a deferred handshake as f says.
func (c *Conn) decide(d *Deferred, f func(*Handshake)) {
	if c.deferred() != d { // it was refused
		return
	}
	if _, err := c.conn.WriteRest(nil); err != nil { // it is closing
		return
	}
	o := openings.Get().(*opening)
	defer o.release()
	key := c.reopen(o, d)
	c.takeDeferred()
	if d.paused { // before f, which may pause it again
		c.conn.ResumeRead()
	}
	f(o.handshake)
	if err := c.conclude(o, key, d.head); err != nil {
		c.conn.CloseWith(err)
	}
}

// refuseDeferred answers a handshake that was not decided in time.
func (c *Conn) refuseDeferred(err error) error {
	o := openings.Get().(*opening)
	defer o.release()
	c.reopen(o, c.deferred())
	c.takeDeferred()
	return c.refuse(&o.request, err)
}
