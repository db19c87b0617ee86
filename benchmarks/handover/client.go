//go:build linux

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// threshold is the size from which messages are compressed.
const threshold = 32

// patience is how long a client waits for the server before that is a fault.
const patience = time.Minute

// kind is the kind of a connection.
type kind struct{ secure, compressed bool }

var kinds = []kind{{false, false}, {true, false}, {false, true}, {true, true}}

func (k kind) String() string {
	s := "plain"
	if k.secure {
		s = "TLS"
	}
	if k.compressed {
		s += ", compressed"
	}
	return s
}

// client is a connection. Its goroutine sends messages, and reads what comes back, in rounds.
type client struct {
	id   uint64
	kind kind
	slow bool // it reads late
	rand *rand.Rand

	raw      *cutting // what nc goes to
	nc       net.Conn
	receiver wsproto.Receiver
	sender   wsproto.Sender
	in       []byte // received, and not consumed
	buf      []byte // of in

	seq   uint64   // of the next message
	pings uint64   // of the next ping
	owed  [][]byte // messages that were sent and have not come back
	ops   []wsproto.Opcode
	pong  uint64 // the next that may come
	spare [][]byte

	worst  atomic.Int64 // the longest wait, in nanoseconds
	rounds atomic.Int64
	heard  time.Time // the last time that something was sent or has come
}

// cutting is a connection whose next Write can be cut in two, with a pause in between.
type cutting struct {
	net.Conn
	cut time.Duration
}

func (c *cutting) Write(b []byte) (n int, err error) {
	if c.cut > 0 && len(b) > 1 {
		if n, err = c.Conn.Write(b[:len(b)/2]); err != nil {
			return n, err
		}
		time.Sleep(c.cut)
		c.cut = 0
	}
	k, err := c.Conn.Write(b[n:])
	return n + k, err
}

var tlsConfig = &tls.Config{InsecureSkipVerify: true, SessionTicketsDisabled: true}

// dialer opens connections.
type dialer struct {
	plain, secure string
	config        *wsproto.Config
	deflate       wsproto.Deflate
}

func newDialer(plain, secure string, window int) *dialer {
	c := deflate.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: threshold,
		ServerWindowBits: window, ClientWindowBits: window, MaxWindows: -1}
	return &dialer{plain, secure, &wsproto.Config{Role: wsproto.Client, Compressor: deflate.New(c)}, c.Policy(0)}
}

// dial opens connection number id.
func (d *dialer) dial(id uint64, k kind, slow bool) (c *client, err error) {
	address := d.plain
	if k.secure {
		address = d.secure
	}
	nd := net.Dialer{Timeout: patience}
	nc, err := nd.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c = &client{id: id, kind: k, slow: slow, rand: rand.New(rand.NewPCG(id, 17)), raw: &cutting{Conn: nc}}
	c.nc = c.raw
	c.nc.SetDeadline(time.Now().Add(patience))
	if k.secure {
		c.nc = tls.Client(c.raw, tlsConfig)
	}
	if err := c.open(d, address); err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening handshake: %w", err)
	}
	return c, nil
}

// open does the opening handshake.
func (c *client) open(d *dialer, host string) error {
	o, key := &handshake.Opening{Host: host, Target: "/"}, handshake.NewClientKey()
	if c.kind.compressed {
		o.Deflate = &d.deflate
	}
	request, err := o.AppendRequest(nil, key)
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(request); err != nil {
		return err
	}
	reply := handshake.Reply{Opening: o, Key: key}
	c.buf = make([]byte, 4<<10)
	for {
		n, err := c.nc.Read(c.buf[len(c.in):])
		if err != nil {
			return err
		}
		c.in = c.buf[:len(c.in)+n]
		used, accepted, err := reply.Next(c.in)
		if err != nil {
			return err
		}
		if accepted != nil {
			if a := accepted.Deflate; c.kind.compressed && (a == nil || a.WindowBytes() != d.deflate.WindowBytes()) {
				return fmt.Errorf("the server agrees to %+v, not to %+v", a, d.deflate)
			}
			c.in = c.in[used:]
			c.receiver = wsproto.NewReceiver(d.config, accepted.Deflate)
			c.sender = wsproto.NewSender(d.config, accepted.Deflate)
			return nil
		}
		c.in = c.in[used:]
		c.in = c.buf[:copy(c.buf, c.in)]
	}
}

// round sends some messages, and reads until all have come back.
func (c *client) round() error {
	c.nc.SetDeadline(time.Now().Add(patience))
	out := c.compose()
	if c.slow {
		// The server does not read on while too much waits for this client.
		sent := make(chan error, 1)
		go func() { sent <- c.send(out) }()
		time.Sleep(time.Duration(c.rand.IntN(300)) * time.Millisecond)
		c.heard = time.Now()
		return errors.Join(c.collect(), <-sent)
	}
	if err := c.send(out); err != nil {
		return err
	}
	return c.collect()
}

// send sends out, sometimes in two parts, of which the second one comes later: within a TLS record,
// or between two.
func (c *client) send(out []byte) error {
	pause := time.Duration(5+c.rand.IntN(100)) * time.Millisecond
	switch c.rand.IntN(16) {
	case 0:
		c.raw.cut = pause
	case 1:
		n := c.rand.IntN(len(out))
		if _, err := c.nc.Write(out[:n]); err != nil {
			return err
		}
		out = out[n:]
		time.Sleep(pause)
	}
	began := time.Now()
	_, err := c.nc.Write(out)
	if c.raw.cut = 0; !c.slow {
		c.heard = began
	}
	return err
}

// collect reads until the client has all that it is owed.
func (c *client) collect() error {
	for len(c.owed) > 0 || c.pong != c.pings {
		if err := c.receive(); err != nil {
			return err
		}
	}
	c.rounds.Add(1)
	return nil
}

// close closes the connection in order: nothing may come but the answer.
func (c *client) close() error {
	defer c.raw.Close()
	c.nc.SetDeadline(time.Now().Add(patience))
	payload := wsproto.AppendClose(nil, wsproto.NormalClosure, "")
	if _, err := c.nc.Write(c.sender.Append(nil, wsproto.Close, payload)); err != nil {
		return err
	}
	c.pings++ // so that receive goes on
	for {
		switch err := c.receive(); {
		case errors.Is(err, errClosed):
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}
