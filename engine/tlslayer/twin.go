package tlslayer

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

var (
	_ layer.Loader = (*server)(nil)
	_ layer.Loader = (*client)(nil)
)

// server is a Layer as a Listener sees it. These methods are not methods of Layer; converting the
// pointer costs nothing.
type server Layer

// Server returns l for engine.ListenConfig.Layer.
func (l *Layer) Server() engine.Layer { return (*server)(l) }

// Begin implements layer.Layer.
func (s *server) Begin(local, remote net.Addr, notify func()) layer.Handshake {
	return (*Layer)(s).server(local, remote, notify)
}

// Timeout implements layer.Layer.
func (s *server) Timeout() time.Duration { return s.config.HandshakeTimeout }

// Load implements layer.Loader.
func (s *server) Load(state []byte, shared *any) (layer.Stream, error) {
	return (*Layer)(s).load(state, shared)
}

// SaveKeys implements layer.Loader.
func (s *server) SaveKeys(dst []byte) []byte { return (*Layer)(s).saveKeys(dst) }

// LoadKeys implements layer.Loader.
func (s *server) LoadKeys(keys []byte) error { return (*Layer)(s).loadKeys(keys) }

// CheckListen returns an error if no client could be served. It is for engine.ListenConfig.
func (s *server) CheckListen() error {
	c := s.config.TLS
	if len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil {
		return errors.New("tlslayer: the tls.Config has neither Certificates, GetCertificate nor GetConfigForClient")
	}
	return nil
}

// client is a Layer as Dial sees it.
type client struct {
	layer  *Layer
	config *tls.Config
}

// Client returns l for engine.DialConfig.Layer. The server must have a certificate for
// Config.TLS.ServerName, or for serverName if that is empty.
func (l *Layer) Client(serverName string) engine.Layer {
	c := &client{l, l.config.TLS}
	if c.config.ServerName == "" && serverName != "" {
		c.config = c.config.Clone()
		c.config.ServerName = serverName
	}
	return c
}

// Begin implements layer.Layer.
func (c *client) Begin(local, remote net.Addr, notify func()) layer.Handshake {
	return c.layer.client(c.config, local, remote, notify)
}

// Timeout implements layer.Layer.
func (c *client) Timeout() time.Duration { return c.layer.config.HandshakeTimeout }

// Load implements layer.Loader.
func (c *client) Load(state []byte, shared *any) (layer.Stream, error) {
	return c.layer.load(state, shared)
}

// SaveKeys implements layer.Loader: a client has none of its own.
func (c *client) SaveKeys(dst []byte) []byte { return dst }

// LoadKeys implements layer.Loader.
func (c *client) LoadKeys([]byte) error { return nil }

// CheckListen returns an error. It is for engine.ListenConfig.
func (c *client) CheckListen() error {
	return errors.New("tlslayer: the Layer is one of Layer.Client: want Layer.Server")
}

// NextProtos returns the protocols that the client offers, for package websocket.
func (c *client) NextProtos() []string { return c.config.NextProtos }

// ConnectionState returns what crypto/tls tells about a connection. complete reports whether that
// is all of it. It is in the accept function, and in the function done of Dial: keep what you need
// of it then, since the certificates of a million peers take much memory.
//
// Later, when the peer has sent something, complete may be false. Then only Version, CipherSuite
// and HandshakeComplete are set, and that there are no PeerCertificates says nothing about the
// peer. Without TLS the state is zero, and complete is false. ConnectionState may be called only on
// the connection's loop.
func ConnectionState(c *engine.Conn) (state tls.ConnectionState, complete bool) {
	s, complete := stateOf(c.LayerState())
	if s == nil {
		return tls.ConnectionState{}, false
	}
	return *s, complete
}

// partialState is what is free to keep of a tls.ConnectionState.
type partialState struct{ state tls.ConnectionState }

// Partial returns the state, for package websocket.
func (p *partialState) Partial() *tls.ConnectionState { return &p.state }

// stateOf returns what layer.Stream.State has returned, nil without TLS, and whether it is
// complete.
func stateOf(state any) (s *tls.ConnectionState, complete bool) {
	switch state := state.(type) {
	case *tls.ConnectionState:
		return state, true
	case *partialState:
		return &state.state, false
	}
	return nil, false
}
