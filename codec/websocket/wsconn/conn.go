package wsconn

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/meter"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Conn is an open WebSocket connection. Its methods may be called by any goroutine at any time.
//
// Only while a goroutine waits in Read, or in a Read of what Reader returned, are pings and Close
// frames of the peer answered, pongs noticed, and silent peers found (Config.IdleTimeout). A
// goroutine should therefore always be reading. If no messages are expected, CloseRead starts one.
type Conn struct {
	nc          net.Conn
	config      *Config
	subprotocol string
	opened      time.Time

	protocol wsproto.Config // of receiver and sender

	readLock      lock // guards this group
	receiver      wsproto.Receiver
	in            []byte // not consumed yet: the end of buf or of large, or what came early
	buf           []byte // to receive into
	large         *[largeBuffer]byte
	full          bool // the last read filled the buffer
	messageEnded  bool // since the last read
	stream        stream
	readInterrupt interrupter
	meter         meter.Meter // of control frames

	writeLock      lock // guards this group
	sender         wsproto.Sender
	writeInterrupt interrupter
	openMessage    atomic.Pointer[messageWriter] // set under writeLock, and cleared by its owner

	keepalive  keepalive
	readClosed atomic.Bool  // by CloseRead
	closeSent  atomic.Bool  // our Close frame was begun: nothing may follow it. Set under writeLock
	pongDue    atomic.Bool  // pong waits for writeLock
	pingDue    atomic.Bool  // a ping of keepalive waits for writeLock
	sendingDue atomic.Bool  // sendDue waits for writeLock, to send them
	wrote      atomic.Int64 // bytes that the connection below took: see taken

	mu          sync.Mutex // guards this group, and onEnd
	pong        []byte     // the answer to the latest ping
	sentCode    CloseCode  // of our Close frame; 0: none was sent
	sentReason  string     // of our Close frame
	pinged      uint64     // the number of the latest ping of Ping
	pings       []ping     // those that wait for their pongs
	windowBytes int64      // to be given back to Config.windows
	err         error      // why it has ended. May be read without mu when done is closed

	onEnd map[*context.CancelCauseFunc]struct{} // of CloseRead's contexts

	done chan struct{}
}

const (
	smallBuffer = 4 << 10  // what a connection keeps
	largeBuffer = 64 << 10 // what it has while it receives a message that is larger
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// open makes a Conn of a connection whose opening handshake is done. early is what came after the
// handshake, and lies in buf. The Conn keeps buf as its own if it has the right size.
func (c *Config) open(
	nc net.Conn, role wsproto.Role, subprotocol string, agreed *wsproto.Deflate, buf, early []byte,
) *Conn {
	if len(buf) != smallBuffer {
		buf = make([]byte, smallBuffer)
	}
	w := &Conn{
		nc: nc, config: c, subprotocol: subprotocol, opened: time.Now(),
		readLock: newLock(), buf: buf, in: early,
		writeLock: newLock(), done: make(chan struct{}),
		protocol:       wsproto.Config{Role: role, Limits: c.WithDefaults()},
		readInterrupt:  interrupter{nc: nc, setDeadline: net.Conn.SetReadDeadline},
		writeInterrupt: interrupter{nc: nc, setDeadline: net.Conn.SetWriteDeadline},
	}
	w.protocol.MaxWhole = -1
	if c.MaxMessage < 0 && c.MaxFragments == 0 {
		w.protocol.MaxFragments = -1 // the default depends on MaxMessage
	}
	w.keepalive.setLimits(&w.protocol.Limits)
	if agreed != nil {
		w.protocol.Compressor = deflate.New(*c.Compression)
		w.windowBytes = int64(agreed.WindowBytes())
		c.windows.Add(w.windowBytes)
	}
	w.receiver, w.sender = wsproto.NewReceiver(&w.protocol, agreed), wsproto.NewSender(&w.protocol, agreed)
	return w
}

// Subprotocol returns the subprotocol that the opening handshake agreed on, or "" for none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// RemoteAddr returns the address of the other end of the connection below. For the client behind an
// HTTP proxy see ClientAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Underlying returns the connection that carries the WebSocket, for socket options. Reading from
// it, writing to it or setting its deadlines breaks the WebSocket.
func (c *Conn) Underlying() net.Conn { return c.nc }

// now is the time by the connection's own clock.
func (c *Conn) now() time.Duration { return time.Since(c.opened) }
