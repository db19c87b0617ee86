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

// opener opens connections: so many at a time, or so many a second.
type opener struct {
	session *Session
	path    string
	ready   func(*conn)                          // is called for each connection that is open, on its loop, after it has joined the worker
	from    func(i int64) (local netip.AddrPort) // the address that connection i comes from
	total   int64
	ramped  bool // connections are begun by the clock, not one for another

	started, finished atomic.Int64
	stopped           atomic.Bool
	done              chan struct{} // is closed when all have been opened, or have failed
}

// newOpener makes an opener of total connections. ready may be nil.
func (s *Session) newOpener(path string, total int64, ready func(*conn)) *opener {
	return &opener{session: s, path: path, total: total, ready: ready, from: s.sourceOf, done: make(chan struct{})}
}

// begin begins with so many connections.
func (o *opener) begin(n int) {
	for range n {
		o.next()
	}
}

// ramp begins connections at a rate per second, until all are begun or ctx ends. ramped is set then.
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

// next begins another connection, if there is to be one.
func (o *opener) next() {
	if o.stopped.Load() {
		return
	}
	i := o.started.Add(1) - 1
	if i >= o.total {
		return
	}
	begun := o.session.now()
	config := engine.DialConfig{Timeout: o.session.cfg.Timeout, LocalAddr: o.from(i)}
	err := o.session.engine.Dial(context.Background(), "tcp", o.session.cfg.Addr, config, func(c *engine.Conn, err error) engine.Protocol {
		if err != nil {
			o.failed(err)
			return nil
		}
		return o.connected(c, begun)
	})
	if err != nil {
		o.stopped.Store(true) // the engine has ended, or the address is none: it is the same for all of them
		o.failed(err)
	}
}

// failed counts a connection that was never open.
func (o *opener) failed(err error) {
	o.session.failed(err)
	o.over()
}

// over is called when a connection is open or has failed; that of a churn when it is closed.
func (o *opener) over() {
	if o.finished.Add(1) == o.total {
		close(o.done)
	} else if !o.ramped {
		o.next()
	}
}

// connected is called when TCP's part is done.
func (o *opener) connected(c *engine.Conn, begun int64) engine.Protocol {
	w := o.session.workers[c.Loop()]
	if o.session.cfg.Protocol == "tcp" {
		return o.open(c, w, begun)
	}
	c.SetTimeout(o.session.cfg.Timeout)
	c.Write(o.session.request(o.path))
	return &opening{opener: o, w: w, c: c, begun: begun}
}

// open makes a connection of it.
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

// opening is a connection until its WebSocket is open.
type opening struct {
	opener  *opener
	w       *worker
	c       *engine.Conn
	begun   int64
	scanned uint32
}

var errNotCompressed = errors.New("the server does not accept permessage-deflate without context takeover")

// Feed implements engine.Protocol: it waits for the server's answer.
func (p *opening) Feed(src []byte) (int, error) {
	s := p.opener.session
	var r handshake.Response
	n, err := handshake.ParseResponse(src, &p.scanned, &r, handshake.HeadLimits{})
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

// Closed implements engine.Protocol: the handshake has failed.
func (p *opening) Closed(err error) {
	if errors.Is(err, engine.ErrTimeout) {
		err = fmt.Errorf("no answer to the opening handshake within %v", p.opener.session.cfg.Timeout)
	}
	p.opener.failed(err)
}

// perSource is how many connections come from one address: fewer than it has ports (net.ipv4.ip_local_port_range).
const perSource = 20_000

// sourceOf is the address that a connection comes from: 127.0.1.1 and so on, if one would not have ports enough for all of them.
// Elsewhere than on loopback the kernel must do.
func (s *Session) sourceOf(i int64) netip.AddrPort {
	if s.loopback && s.cfg.Conns > perSource {
		return source(i / perSource)
	}
	return netip.AddrPort{}
}

func source(i int64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(1 + i/250%250), byte(1 + i%250)}), 0)
}
