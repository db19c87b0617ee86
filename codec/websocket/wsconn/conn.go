package wsconn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Conn is an open WebSocket connection. Its methods may be called by any goroutine at any time; a second Read waits for the first.
//
// Pings are answered, and the closing handshake is, only while somebody reads: who has nothing to receive should Read all the same,
// in a goroutine of its own. The Conn has none.
type Conn struct {
	nc          net.Conn
	config      *Config
	limits      wsproto.Config
	controlRate int
	subprotocol string
	opened      time.Time

	reading token            // whose holder may use this group
	session wsproto.Receiver // nobody else's
	buf     []byte           // what is received to
	large   *[largeBuffer]byte
	full    bool   // the last that was received filled it
	in      []byte // received and not consumed: the end of one of them, or what came with the handshake
	reads   watch
	meter   wsproto.Meter // of control frames

	writing     token // whose holder may use this group
	compression deflate.Compression
	sendBits    uint8           // of the window that we compress with; 0: no compression was agreed on
	window      *wsproto.Window // of what was sent compressed; nil without context takeover
	writes      watch
	closeSent   atomic.Bool // our Close frame is out, or may be in part: nothing may follow it. Anybody may look

	mu          sync.Mutex // guards this group
	pong        []byte     // the answer to the latest ping
	pinged      uint64     // the number of our latest ping
	pings       []ping     // whose pongs are waited for
	windowBytes int64      // to be given back to Config.windows
	err         error      // why the connection has ended; whoever has seen done closed may look

	pongDue atomic.Bool // pong waits for the token
	done    chan struct{}
}

const (
	smallBuffer = 4 << 10  // that a connection keeps
	largeBuffer = 64 << 10 // while a message is received that the small one does not hold
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// open makes a Conn of a connection whose opening handshake is done. early is what came behind it; buf is where it lies, and is used
// further if it has the size.
func (c *Config) open(nc net.Conn, role wsproto.Role, subprotocol string, agreed *wsproto.Deflate, buf, early []byte) *Conn {
	if len(buf) != smallBuffer {
		buf = make([]byte, smallBuffer)
	}
	w := &Conn{nc: nc, config: c, controlRate: c.ControlRate, subprotocol: subprotocol, opened: time.Now(), buf: buf, in: early,
		reading: make(token, 1), writing: make(token, 1), done: make(chan struct{})}
	w.reads = watch{nc: nc, set: net.Conn.SetReadDeadline}
	w.writes = watch{nc: nc, set: net.Conn.SetWriteDeadline}
	w.limits = wsproto.Config{Role: role, Limits: wsproto.Limits{MaxMessage: c.MaxMessage, MaxFrame: c.MaxFrame, MaxFragments: c.MaxFragments}}
	if c.MaxMessage <= 0 {
		w.limits.MaxMessage = DefaultMaxMessage
	}
	if c.ControlRate == 0 {
		w.controlRate = DefaultControlRate
	}
	if agreed != nil {
		w.compression = c.Compression.WithDefaults()
		w.limits.Compressor = deflate.New(w.compression)
	}
	w.session = wsproto.NewReceiver(&w.limits, agreed)
	if agreed != nil {
		w.sendBits = agreed.SendBits(role)
		w.windowBytes = int64(w.session.WindowBytes())
		if agreed.SendTakeover(role) {
			w.window = wsproto.NewWindow(w.sendBits)
			w.windowBytes += int64(w.window.Size())
		}
		c.windows.Add(w.windowBytes)
	}
	return w
}

// Subprotocol is what the opening handshake agreed on, "" for none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// NetConn is the connection that the WebSocket stands on: for addresses and socket options. Whoever reads from it or writes to it
// breaks the WebSocket; closing it hangs up without a word.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Read waits for the next message, whole. Text is valid UTF-8. data may be modified, and is valid until the next Read.
//
// When ctx ends before, its cause is returned, and a later Read goes on where this one has stopped. Any other error is the end
// of the connection, and that of all later calls: a *CloseError if the peer sent a Close frame, a *wsproto.ProtocolError if it
// broke a rule, which it was told with the code that the rule names, io.ErrUnexpectedEOF if it just hung up, or what the network
// says. In the first two cases Read waits for the peer to hang up, Config.CloseTimeout at most, where the protocol wants that.
func (c *Conn) Read(ctx context.Context) (op Opcode, data []byte, err error) {
	if err := c.reading.take(ctx); err != nil {
		return 0, nil, err
	}
	defer c.reading.give()
	return c.receive(ctx)
}

// receive is Read with the token.
func (c *Conn) receive(ctx context.Context) (op Opcode, data []byte, err error) {
	for {
		select {
		case <-c.done:
			return 0, nil, c.err
		default:
		}
		ev, n, err := c.session.Next(c.in)
		c.in = c.in[n:]
		if ev.Kind == wsproto.EventPing || ev.Kind == wsproto.EventPong {
			err = c.meter.Count(time.Since(c.opened), c.controlRate)
		}
		if err != nil {
			return 0, nil, c.failed(ctx, err)
		}
		switch ev.Kind {
		case wsproto.EventMessage:
			if !c.closeSent.Load() {
				return ev.Opcode, ev.Payload, nil
			}
		case wsproto.EventPing:
			c.answer(ctx, ev.Payload)
		case wsproto.EventPong:
			c.ponged(ev.Payload)
		case wsproto.EventClose:
			return 0, nil, c.closed(ctx, ev)
		default:
			if err := c.fill(ctx); err != nil {
				return 0, nil, err
			}
		}
	}
}

// fill receives more. What is left of in is an incomplete header or control frame at most.
func (c *Conn) fill(ctx context.Context) error {
	if err := c.reads.on(ctx); err != nil {
		return err
	}
	b := c.buf
	if c.full && c.session.InMessage() {
		if c.large == nil {
			c.large = largeBuffers.Get().(*[largeBuffer]byte)
		}
		b = c.large[:]
	}
	left := copy(b, c.in)
	if c.large != nil && &b[0] != &c.large[0] {
		largeBuffers.Put(c.large)
		c.large = nil
	}
	n, err := c.nc.Read(b[left:])
	c.in, c.full = b[:left+n], left+n == len(b)
	switch {
	case n > 0 || err == nil: // an error comes again
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return c.end(fmt.Errorf("wsconn: connection lost: %w", err))
}

// keep leaves the message that Read has returned to whoever has it.
func (c *Conn) keep() {
	c.session.Disown()
	c.in = bytes.Clone(c.in)
	c.buf, c.large = make([]byte, smallBuffer), nil
}
