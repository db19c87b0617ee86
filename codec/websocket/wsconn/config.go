package wsconn

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Opcode tells text from binary messages.
type Opcode = wsproto.Opcode

// The opcodes of messages.
const (
	Text   = wsproto.Text
	Binary = wsproto.Binary
)

// Compression configures permessage-deflate (RFC 7692). Conn.WritePlain sends a message without it.
type Compression = deflate.Compression

// Limits are the limits of a Config. In each of them 0 stands for the default, and a negative value
// switches it off.
type Limits = wsproto.Limits

// Config is what the connections of a client or a server have in common. nil and the zero value
// work. A Config must not be changed or copied once it is in use. Any number of goroutines may use
// it at the same time.
type Config struct {
	// Subprotocols are those that this end speaks, best first. The server chooses one: see
	// Conn.Subprotocol.
	Subprotocols []string
	// Compression makes a client offer permessage-deflate, and a server accept it. nil, the
	// default, is off; see Compression for the reasons.
	Compression *Compression

	// Limits are the limits of size, rate and time. MaxMessage is 1 MiB by default even for Reader,
	// and MaxWhole is not used: Read puts every message together, and Reader none. The clocks of
	// IdleTimeout, PongTimeout and ProgressTimeout run only while a goroutine is reading: see Conn.
	Limits

	// MaxLinger limits a closing handshake in all, however steadily the peer takes what was sent
	// before, and also without a CloseTimeout: see Conn.Close. Default: 5 min.
	MaxLinger time.Duration

	// Header has further header fields of a client's request, such as Origin, Cookie or
	// Authorization.
	Header http.Header
	// Host is the Host field of a client's request. Default: that of the URL, which is connected to
	// in any case.
	Host string
	// TLS is the configuration for wss URLs in Dial. Its NextProtos must not list h2; if it is nil,
	// only HTTP/1.1 is offered. websocket.Client.TLS makes a layer instead. Default: the zero
	// tls.Config.
	TLS *tls.Config
	// DialContext makes Dial's connections, for example through a proxy, or to a unix socket
	// whatever the URL says. Default: that of a zero net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Origins are the origins that a server accepts browsers from: "https://example.com",
	// "https://*.example.com", or "*" for all. If there are none, it accepts only its own, by the
	// Host field. Requests without an Origin field do not come from a browser, and are accepted
	// (RFC 6455 section 10.2).
	Origins []string
	// Hosts are the hosts that a server answers to: see handshake.Request.CheckHost. Default: all.
	Hosts []string

	windows atomic.Int64 // bytes of all connections' windows
}

// orDefault returns c, or the zero Config if c is nil.
func (c *Config) orDefault() *Config {
	if c == nil {
		return new(Config)
	}
	return c
}

// policy returns the parameters of permessage-deflate that this end accepts, or nil if it wants
// none.
func (c *Config) policy() *wsproto.Deflate {
	if c.Compression == nil {
		return nil
	}
	d := c.Compression.Policy(int(c.windows.Load()))
	return &d
}

func (c *Config) maxLinger() time.Duration {
	if c.MaxLinger <= 0 {
		return defaultMaxLinger
	}
	return c.MaxLinger
}

// opening returns the context of an opening handshake.
func (c *Config) opening(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, c.WithDefaults().HandshakeTimeout)
}

// within returns ctx with a timeout, unless that is negative.
func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
