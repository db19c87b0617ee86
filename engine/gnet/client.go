package gnet

import (
	"net"
	"sync"

	"github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/myriadnet/myriad/engine"
)

// Client serves connections to other hosts by an EventHandler. Its methods may be called from any
// goroutine.
type Client struct {
	r       *runner
	started sync.Once // a Client that is not started is closed by it
}

// NewClient makes a Client. One that is never started holds a few descriptors until Stop.
func NewClient(h EventHandler, opts ...Option) (*Client, error) {
	r, err := newRunner(engine.Config{}, h, opts)
	if err != nil {
		return nil, err
	}
	return &Client{r: r}, nil
}

// Start calls OnBoot, with an empty Engine, and starts the loops.
func (cl *Client) Start() error {
	cl.started.Do(func() {
		booted := false
		defer func() {
			if !booted { // OnBoot has panicked
				cl.r.engine.Close()
				close(cl.r.done)
			}
		}()
		cl.r.handler.OnBoot(Engine{cl.r})
		booted = true
		go cl.r.run()
		<-cl.r.engine.Started()
	})
	return nil
}

// Stop closes all connections, and ends the loops. It returns nil if all ended in order. On a loop
// it does not wait, and returns engine.ErrOnLoop. OnShutdown and OnTick must not call it: it would
// wait for them. OnTick may return Shutdown instead.
func (cl *Client) Stop() error {
	if !cl.isStarted() {
		cl.started.Do(func() { close(cl.r.done) })
		return cl.r.engine.Close()
	}
	cl.r.stop()
	if cl.r.engine.OnLoop() {
		return engine.ErrOnLoop
	}
	<-cl.r.done
	return cl.r.err
}

func (cl *Client) isStarted() bool {
	select {
	case <-cl.r.engine.Started():
		return true
	default:
		return false
	}
}

// Dial connects to address, and returns when OnOpen has returned. network is a network of net.Dial
// for TCP, UDP or unix streams. It must not be called on a loop: the error is engine.ErrOnLoop.
func (cl *Client) Dial(network, address string) (Conn, error) {
	return cl.DialContext(network, address, nil)
}

// DialContext is Dial. Conn.Context returns ctx, from OnOpen on.
func (cl *Client) DialContext(network, address string, ctx any) (Conn, error) {
	if !cl.isStarted() {
		return nil, errors.ErrEmptyEngine
	}
	if cl.r.engine.OnLoop() { // net.Dial would block it
		return nil, engine.ErrOnLoop
	}
	nc, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return cl.EnrollContext(nc, ctx)
}

// Enroll serves nc, a *net.TCPConn, *net.UnixConn or connected *net.UDPConn. It closes nc.
func (cl *Client) Enroll(nc net.Conn) (Conn, error) { return cl.EnrollContext(nc, nil) }

// EnrollContext is Enroll. Conn.Context returns ctx, from OnOpen on.
func (cl *Client) EnrollContext(nc net.Conn, ctx any) (Conn, error) {
	if !cl.isStarted() {
		nc.Close()
		return nil, errors.ErrEmptyEngine
	}
	return cl.r.enroll(nil, nc, ctx)
}
