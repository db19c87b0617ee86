package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// opener opens connections, a fixed number at a time or at a fixed rate.
type opener struct {
	session *Session
	path    string
	total   int64
	ramped  bool // begin connections by the clock, not when another is done

	// ready is called for each open connection, on its loop. If it is nil the connection joins its
	// worker. from returns the source address of connection i.
	ready func(*conn)
	from  func(i int64) (local netip.AddrPort)

	started, finished atomic.Int64
	stopped           atomic.Bool
	done              chan struct{} // is closed when all are open or have failed
}

// newOpener makes an opener of total connections. ready may be nil.
func (s *Session) newOpener(path string, total int64, ready func(*conn)) *opener {
	return &opener{session: s, path: path, total: total, ready: ready, from: s.sourceOf, done: make(chan struct{})}
}

// begin begins with n connections.
func (o *opener) begin(n int) {
	for range n {
		o.next()
	}
}

// ramp begins connections at a rate per second, until all have begun or ctx ends. ramped must be
// set.
func (o *opener) ramp(ctx context.Context, rate float64) {
	const step = time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	begin := time.Now()
	for o.started.Load() < o.total && !o.stopped.Load() {
		for due := min(o.total, int64(time.Since(begin).Seconds()*rate)+1); o.started.Load() < due; {
			o.next()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// next begins another connection, unless all have begun or the opener is stopped.
func (o *opener) next() {
	if o.stopped.Load() {
		return
	}
	i := o.started.Add(1) - 1
	if i >= o.total {
		return
	}
	begun := o.session.now()
	connected := func(c *engine.Conn, err error) engine.Protocol {
		if err != nil {
			o.failed(err)
			return nil
		}
		return o.connected(c, begun)
	}
	cfg := &o.session.cfg
	config := engine.DialConfig{Timeout: cfg.Timeout, LocalAddr: o.from(i), Layer: cfg.Layer}
	if err := o.session.engine.Dial(context.Background(), "tcp", cfg.Addr, config, connected); err != nil {
		o.stopped.Store(true) // the engine has ended or the address is invalid, so all would fail
		o.failed(err)
	}
}

// failed counts a connection that was never open.
func (o *opener) failed(err error) {
	o.session.failed(err)
	o.over()
}

// over is called when a connection is open or has failed. That of a churn is over when it is
// closed.
func (o *opener) over() {
	if o.finished.Add(1) == o.total {
		close(o.done)
	} else if !o.ramped {
		o.next()
	}
}

// connected is called when TCP is connected.
func (o *opener) connected(c *engine.Conn, begun int64) engine.Protocol {
	w := o.session.workers[c.Loop()]
	if o.session.cfg.Protocol == "tcp" {
		return o.open(c, w, begun)
	}
	c.SetTimeout(o.session.cfg.Timeout)
	c.Write(o.session.requests[o.path])
	return &opening{opener: o, w: w, c: c, begun: begun}
}

// open is called when the connection is ready for messages.
func (o *opener) open(c *engine.Conn, w *worker, begun int64) *conn {
	k := &conn{c: c, w: w}
	w.opened(k, o.session.now()-begun)
	if o.ready != nil {
		o.ready(k)
	} else {
		w.join(k)
		o.over()
	}
	return k
}

// opening is the Protocol of a connection until its WebSocket is open.
type opening struct {
	opener  *opener
	w       *worker
	c       *engine.Conn
	begun   int64
	scanned uint32
}

var errNotCompressed = errors.New("the server does not accept permessage-deflate without context takeover")

// Feed implements engine.Protocol. It waits for the server's answer to the handshake.
func (p *opening) Feed(src []byte) (int, error) {
	s := p.opener.session
	var r handshake.Response
	n, err := handshake.ParseResponse(src, &p.scanned, &r, nil)
	if n == 0 || err != nil {
		return 0, err
	}
	a, err := s.opening.Check(&r, s.key)
	if err != nil {
		return 0, err
	}
	if s.cfg.Compress && a.Deflate == nil {
		return 0, errNotCompressed
	}
	p.c.SetTimeout(0)
	p.c.SetProtocol(p.opener.open(p.c, p.w, p.begun))
	return n, nil
}

// Closed implements engine.Protocol. The handshake has failed.
func (p *opening) Closed(err error) {
	if errors.Is(err, engine.ErrTimeout) {
		err = fmt.Errorf("no answer to the opening handshake within %v", p.opener.session.cfg.Timeout)
	}
	p.opener.failed(err)
}

// perSource is the most connections from one source address. An address has a few more ports than
// that (net.ipv4.ip_local_port_range).
const perSource = 20_000

// sourceOf returns the source address of connection i: 127.0.1.1 and so on, if one address does not
// have enough ports for all. The kernel chooses otherwise, and always outside of loopback.
func (s *Session) sourceOf(i int64) netip.AddrPort {
	if s.loopback && s.cfg.Conns > perSource {
		return source(i / perSource)
	}
	return netip.AddrPort{}
}

func source(i int64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(1 + i/250%250), byte(1 + i%250)}), 0)
}
