package wsproto

import (
	"time"
)

// Limits bound what a peer can make this end hold, and how long it can make it wait. In each of
// them 0 stands for the default, and a negative value switches the limit off. Sizes are in bytes;
// those of a compressed message count what it is inflated to.
//
// Package wsproto keeps no time and counts no control frames: in a Config only MaxMessage,
// MaxWhole, MaxFrame and MaxFragments have a meaning. The other limits are kept by the packages
// that do I/O.
type Limits struct {
	// MaxMessage is the size of the largest message that is accepted. A larger one is refused with
	// close code 1009 before its payload is read. Default: 1 MiB, or no limit if large messages are
	// delivered in pieces.
	MaxMessage int
	// MaxWhole is the size of the largest message that is put together before it is delivered,
	// where larger ones are delivered in pieces. It does not depend on how a message arrives.
	// Default: 16 KiB. Negative: no message is put together, all of them are delivered in pieces.
	MaxWhole int
	// MaxFrame is the size of the largest frame of a message. A larger one is refused with close
	// code 1009. Default: no limit but MaxMessage.
	MaxFrame int
	// MaxFragments is the largest number of frames that a message may come in. One more is refused
	// with close code 1008. Default: 1,024, or one for every 512 bytes of MaxMessage if that is
	// more; no limit if large messages are delivered in pieces.
	MaxFragments int
	// ControlRate is how many pings and pongs a peer may send per second, on average over ten
	// seconds. More are refused with close code 1008. Default: 100.
	ControlRate int

	// MaxHeader is the size of the largest head of an HTTP request or response in an opening
	// handshake, up to and including the empty line. A larger request is answered with status 431.
	// Default: 16 KiB.
	MaxHeader int
	// MaxStartLine is the size of the longest start line of such a head, for example of a request
	// with a token in its query. A longer one is answered with status 414. Default: half of
	// MaxHeader, or 8 KiB if that is more.
	MaxStartLine int
	// MaxHeaderFields is the largest number of header fields in such a head. More are answered with
	// status 431. Default: 100.
	MaxHeaderFields int

	// HandshakeTimeout is the longest time that an opening handshake may take. A server counts from
	// when it gets the connection: behind a PROXY header and the handshake of TLS, which have
	// timeouts of their own. Default: 10 s.
	HandshakeTimeout time.Duration
	// IdleTimeout is how long a peer may be silent before it is sent a ping. It must be clearly
	// below the timeout of a proxy in front, which otherwise closes silent connections; that of
	// nginx is 60 s by default. Default: 45 s.
	IdleTimeout time.Duration
	// PongTimeout is how long a peer may stay silent after that ping before the connection is
	// closed. Default: IdleTimeout.
	PongTimeout time.Duration
	// ProgressTimeout is the time within which a message that has begun must end, or grow by 4 KiB.
	// A slower one is refused with close code 1008. Default: 30 s.
	ProgressTimeout time.Duration
	// CloseTimeout is how long a peer may take for its part of the closing handshake, from when it
	// has acknowledged ours. Before that, it is how long the peer may take nothing of what was
	// sent, as far as the kernel can tell. Default: 3 s.
	CloseTimeout time.Duration
}

const (
	defaultMaxMessage   = 1 << 20
	defaultMaxWhole     = 16 << 10
	defaultMaxFragments = 1024
	bytesPerFragment    = 512
)

// WithDefaults returns l with every 0 replaced by the default. MaxFrame, which has none of its own,
// becomes negative.
//
// It does not know whether messages are delivered in pieces: if they are, MaxMessage and
// MaxFragments must be set before, to a negative value for the default.
func (l Limits) WithDefaults() Limits {
	orInt := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		}
	}
	orTime := func(v *time.Duration, otherwise time.Duration) {
		if *v == 0 {
			*v = otherwise
		}
	}
	orInt(&l.MaxMessage, defaultMaxMessage)
	orInt(&l.MaxWhole, defaultMaxWhole)
	orInt(&l.MaxFrame, -1)
	orInt(&l.MaxFragments, max(defaultMaxFragments, l.MaxMessage/bytesPerFragment))
	orInt(&l.ControlRate, 100)
	orInt(&l.MaxHeader, 16<<10)
	if l.MaxHeader < 0 {
		orInt(&l.MaxStartLine, -1)
	}
	orInt(&l.MaxStartLine, max(l.MaxHeader/2, 8<<10))
	orInt(&l.MaxHeaderFields, 100)
	orTime(&l.HandshakeTimeout, 10*time.Second)
	orTime(&l.IdleTimeout, 45*time.Second)
	orTime(&l.PongTimeout, l.IdleTimeout)
	orTime(&l.ProgressTimeout, 30*time.Second)
	orTime(&l.CloseTimeout, 3*time.Second)
	return l
}
