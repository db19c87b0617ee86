package gnet

import (
	"context"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/myriadnet/myriad/engine"
)

// eventLoop is an EventLoop. Two of the same loop are equal, as gnet's are. Its methods may be
// called from any goroutine, except Close.
type eventLoop struct {
	r    *runner
	loop int
}

// Register connects to addr.
func (l eventLoop) Register(ctx context.Context, addr net.Addr) (<-chan RegisteredResult, error) {
	if addr == nil {
		return nil, errors.ErrInvalidNetworkAddress
	}
	return l.r.register(ctx, &l.loop, nil, addr)
}

// Enroll serves nc, which it closes.
func (l eventLoop) Enroll(ctx context.Context, nc net.Conn) (<-chan RegisteredResult, error) {
	if nc == nil {
		return nil, errors.ErrInvalidNetConn
	}
	return l.r.register(ctx, &l.loop, nc, nil)
}

// Execute calls f.Run on the loop.
func (l eventLoop) Execute(ctx context.Context, f Runnable) error { return l.Schedule(ctx, f, 0) }

// Schedule calls f.Run on the loop after delay. gnet returns an error instead.
func (l eventLoop) Schedule(ctx context.Context, f Runnable, delay time.Duration) error {
	if f == nil {
		return errors.ErrNilRunnable
	}
	run := func() { f.Run(ctx) }
	if delay > 0 {
		if l.r.isStopped() {
			return errors.ErrEngineInShutdown
		}
		time.AfterFunc(delay, func() { l.r.engine.Post(l.loop, run) }) // an error if it has ended
		return nil
	}
	if err := l.r.engine.Post(l.loop, run); err != nil {
		return errors.ErrEngineInShutdown
	}
	return nil
}

// Close closes c at once. It may be called only on c's loop.
func (l eventLoop) Close(c Conn) error {
	switch c := c.(type) {
	case *conn:
		c.end(nil)
	case *datagram:
		c.end(nil)
	}
	return nil
}

// register is enroll on a goroutine. It dials addr if nc is nil.
func (r *runner) register(ctx context.Context, loop *int, nc net.Conn, addr net.Addr) (<-chan RegisteredResult, error) {
	if r.isStopped() {
		return nil, errors.ErrEngineInShutdown
	}
	result := make(chan RegisteredResult, 1)
	go func() {
		defer close(result)
		if nc == nil {
			var err error
			if nc, err = net.Dial(addr.Network(), addr.String()); err != nil {
				result <- RegisteredResult{Err: err}
				return
			}
		}
		c, err := r.enroll(loop, nc, FromContext(ctx))
		result <- RegisteredResult{Conn: c, Err: err}
	}()
	return result, nil
}

// enroll serves nc, and waits until OnOpen has returned. It closes nc.
func (r *runner) enroll(loop *int, nc net.Conn, ctx any) (c Conn, err error) {
	defer nc.Close()
	if r.engine.OnLoop() {
		return nil, engine.ErrOnLoop
	}
	opened := make(chan Conn, 1) // nil: OnOpen has panicked
	switch nc := nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		err = r.adopt(loop, nc, ctx, opened)
	case *net.UDPConn:
		err = r.openPeer(nc, ctx, opened)
	default:
		err = errors.ErrUnsupportedProtocol
	}
	if err != nil {
		return nil, closedError(err)
	}
	select {
	case c := <-opened:
		if c == nil {
			return nil, errPanic
		}
		return c, nil
	case <-r.done:
		return nil, errors.ErrEngineInShutdown
	}
}

func (r *runner) adopt(loop *int, nc net.Conn, ctx any, opened chan<- Conn) error {
	local, remote := nc.LocalAddr(), nc.RemoteAddr()
	return engine.AdoptConfig{Loop: loop}.Adopt(r.engine, nc, nil, func(ec *engine.Conn) engine.Protocol {
		var result Conn
		defer func() { opened <- result }()
		r.setOptions(ec, remote, false)
		c := r.open(ec, local, remote, ctx)
		result = c
		return (*protocol)(c)
	})
}

// openPeer opens a datagram socket with nc's address, for datagrams from and to nc's peer. A socket
// of the engine is not connected.
func (r *runner) openPeer(nc *net.UDPConn, ctx any, opened chan<- Conn) error {
	local := nc.LocalAddr()
	remote, ok := nc.RemoteAddr().(*net.UDPAddr)
	if !ok {
		return errors.ErrInvalidNetworkAddress
	}
	nc.Close() // its address is free now
	_, err := r.packetConfig().Listen(r.engine, "udp", local.String(),
		func(p *engine.PacketConn) engine.PacketProtocol {
			s := &packets{r: r, p: p, local: local}
			c := s.newDatagram(engine.PacketAddr{AddrPort: unmapped(remote.AddrPort())})
			c.client, c.ctx, s.client = true, ctx, c
			r.connections.Add(1)
			var result Conn
			defer func() { opened <- result }() // also if OnClose panics
			defer func() {
				if result == nil { // a panic: the engine closes the socket without telling s
					c.end(errPanic)
				}
			}()
			out, action := r.handler.OnOpen(c)
			if len(out) > 0 {
				c.Write(out)
			}
			c.do(action)
			result = c
			return s
		})
	return err
}
