package wsconn

import (
	"cmp"
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

// CloseCode is the status code of a closing handshake (RFC 6455 section 7.4).
type CloseCode = wsproto.CloseCode

// Compression is permessage-deflate (RFC 7692). Conn.WritePlain sends a message without it.
type Compression = deflate.Compression

// Defaults of a Config.
const (
	DefaultMaxMessage       = 1 << 20
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultIdleTimeout      = 60 * time.Second
	DefaultProgressTimeout  = 30 * time.Second
	DefaultCloseTimeout     = 3 * time.Second
	DefaultControlRate      = 100
)

// Config is what the connections of a client or server have in common. nil and the zero value work. It must not be changed or
// copied once it is in use, and may be used by any goroutines at the same time.
type Config struct {
	// Subprotocols are what this end speaks, best first. The server chooses: Conn.Subprotocol.
	Subprotocols []string
	// Compression has permessage-deflate offered by a client, and accepted by a server. nil: off, see there why.
	Compression *Compression

	// MaxMessage is the largest message that is accepted, in bytes; a larger one is refused with code 1009 before its
	// payload is read. Default: 1 MiB.
	MaxMessage int
	// MaxFrame is the largest frame of a message. Default: MaxMessage.
	MaxFrame int
	// MaxFragments is the largest number of frames that a message may come in. Default: 1,024, or one per 512 bytes of
	// MaxMessage if that is more.
	MaxFragments int
	// ControlRate is how many pings and pongs a peer may send per second, for ten seconds together. Default: 100; negative: no
	// limit.
	ControlRate int

	// HandshakeTimeout is how long the opening handshake may take, with all that comes before. Default: 10 s; negative: no limit but
	// that of the context.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a peer may be silent while a goroutine is reading. It is then sent a ping, and the
	// connection ends with ErrPongTimeout if it stays silent for PongTimeout. Default: 60 s; negative: no limit.
	IdleTimeout time.Duration
	// PongTimeout is how long a peer may stay silent after that. Default: IdleTimeout; negative: no limit.
	PongTimeout time.Duration
	// ProgressTimeout is within which time a message that has begun must end, or grow by 4 KiB, while a goroutine is
	// reading. Slower peers are refused with code 1008. Default: 30 s; negative: no limit.
	ProgressTimeout time.Duration
	// CloseTimeout is how long the peer may take for its part of the closing handshake. Default: 3 s; negative: no limit.
	CloseTimeout time.Duration

	// Header is for further fields of a client's request: Origin, Cookie, Authorization.
	Header http.Header
	// TLS is for Dial of wss URLs. Default: the zero tls.Config.
	TLS *tls.Config
	// DialContext is how Dial connects: by a proxy, say. Default: net.Dialer's.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Origins are the origins that browsers may come from to a server: "https://example.com", "https://*.example.com", or "*" for
	// all. Empty: only the server's own, by the Host field. Requests without Origin are not from a browser: see RFC 6455
	// section 10.2.
	Origins []string
	// MaxHeader is how long the head of a client's request may be, in bytes, and MaxHeaderFields how many fields it may have.
	// Longer ones are answered with status 431. Defaults: 16 KiB, 100.
	MaxHeader, MaxHeaderFields int

	windows atomic.Int64 // bytes of all connections' windows
}

// orDefault is c, or the zero Config.
func (c *Config) orDefault() *Config {
	if c == nil {
		return new(Config)
	}
	return c
}

// policy is what permessage-deflate this end is prepared for; nil for none.
func (c *Config) policy() *wsproto.Deflate {
	if c.Compression == nil {
		return nil
	}
	compression := c.Compression.WithDefaults()
	d := compression.Policy(int(c.windows.Load()))
	return &d
}

// opening is the context of an opening handshake.
func (c *Config) opening(ctx context.Context) (context.Context, context.CancelFunc) {
	return within(ctx, c.HandshakeTimeout, DefaultHandshakeTimeout)
}

// within is ctx with a timeout, unless that is negative.
func within(ctx context.Context, timeout, otherwise time.Duration) (context.Context, context.CancelFunc) {
	timeout = cmp.Or(timeout, otherwise)
	if timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}
