package tlslayer

import (
	"errors"
	"net"
	"slices"
	"sync"

	"github.com/myriadnet/myriad/engine"
)

// Listen listens for connections of goroutines, such as those of an http.Server. The loops of e
// accept them by the limits of lc, and begin their handshakes, so that a peer that does not finish
// its handshake has no goroutine. lc.Layer is ignored. See engine.ListenConfig.Listen for network
// and address.
//
// Accept of the listener returns connections whose handshake is done, while e runs. They are not
// e's, and do not end with it. If 4,096 wait for Accept, others are closed. Their method
// ConnectionState makes net/http set http.Request.TLS. engine.Adopt gives them to a loop, and so
// does Server.Upgrade of package websocket. Close the listener when e ends, as http.Server.Shutdown
// does.
//
// An http.Server speaks HTTP/2 only on a *tls.Conn. So Listen returns an error if NextProtos of the
// tls.Config lists "h2".
func (l *Layer) Listen(e *engine.Engine, lc engine.ListenConfig, network, address string) (net.Listener, error) {
	if slices.Contains(l.config.TLS.NextProtos, "h2") {
		return nil, errors.New("tlslayer: Listen: NextProtos lists h2, which an http.Server cannot serve here")
	}
	ln := new(listener)
	ln.changed.L = &ln.mu
	lc.Layer = l.Server()
	var err error
	ln.engine, err = lc.Listen(e, network, address, ln.accepted)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		ln.addr = &net.UnixAddr{Name: ln.engine.String(), Net: network}
	} else {
		ln.addr = net.TCPAddrFromAddrPort(ln.engine.Addr())
	}
	return ln, nil
}

// listener implements net.Listener.
type listener struct {
	engine *engine.Listener
	addr   net.Addr

	mu      sync.Mutex
	changed sync.Cond
	ready   []*netConn // that Accept will return
	closed  bool
}

// maxReady is how many connections wait for Accept. They are none of the engine's any more, so
// without lc.MaxConnections nothing else limits them.
const maxReady = 4096

// accepted gives a connection away. It is an accept function of the engine.
func (ln *listener) accepted(c *engine.Conn) engine.Protocol {
	place := c.KeepPlace()
	err := c.Release(func(nc net.Conn, _, _ []byte, err error) { // nothing was opened or written
		if err != nil { // no descriptor is left: the connection is closed
			place.Leave()
			return
		}
		released := nc.(*netConn)
		released.place.Store(place)
		ln.deliver(released)
	})
	if err != nil { // it is closing
		place.Leave()
	}
	return away{}
}

// away is the Protocol of a connection that is being released.
type away struct{}

func (away) Feed([]byte) (int, error) { return 0, nil }
func (away) Closed(error)             {}

// deliver passes c to Accept. It is called on a loop.
func (ln *listener) deliver(c *netConn) {
	ln.mu.Lock()
	refused := ln.closed || len(ln.ready) >= maxReady
	if !refused {
		ln.ready = append(ln.ready, c)
		ln.changed.Signal()
	}
	ln.mu.Unlock()
	if refused {
		go c.Close() // which may take closeTimeout
	}
}

// Accept implements net.Listener.
func (ln *listener) Accept() (net.Conn, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	for len(ln.ready) == 0 && !ln.closed {
		ln.changed.Wait()
	}
	if ln.closed {
		return nil, net.ErrClosed
	}
	c := ln.ready[0]
	ln.ready[0] = nil
	ln.ready = ln.ready[1:]
	return c, nil
}

// Close implements net.Listener. It closes connections that Accept has not returned, and does not
// wait for their peers.
func (ln *listener) Close() error {
	ln.mu.Lock()
	ready := ln.ready
	ln.ready, ln.closed = nil, true
	ln.mu.Unlock()
	ln.changed.Broadcast()
	err := ln.engine.Close()
	for _, c := range ready {
		go c.Close() // which may take closeTimeout
	}
	return err
}

// Addr implements net.Listener.
func (ln *listener) Addr() net.Addr { return ln.addr }
