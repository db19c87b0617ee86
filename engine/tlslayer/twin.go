package tlslayer

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
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

// client is a Layer as Dial sees it.
type client struct {
	layer  *Layer
	config *tls.Config
}

// Client returns l for engine.DialConfig.Layer. The server must have a certificate for serverName.
// "" stands for Config.TLS.ServerName.
func (l *Layer) Client(serverName string) engine.Layer {
	c := &client{l, l.config.TLS}
	if serverName != "" {
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

// ConnectionState returns what crypto/tls tells about a connection, and whether it has TLS. It is
// complete only in the accept function: keep what you need of it, since the certificates of a
// million peers take much memory. Later only Version, CipherSuite and HandshakeComplete are set. It
// may be called only on the connection's loop.
func ConnectionState(c *engine.Conn) (tls.ConnectionState, bool) {
	s, ok := c.LayerState().(*tls.ConnectionState)
	if !ok {
		return tls.ConnectionState{}, false
	}
	return *s, true
}
