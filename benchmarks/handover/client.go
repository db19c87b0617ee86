//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
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
		sent := make(chan error, 1) // the server does not read on while too much waits for this client
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

// compose returns the frames of some messages and pings.
func (c *client) compose() (out []byte) {
	n := 1
	switch c.rand.IntN(8) {
	case 0:
		n = 2 + c.rand.IntN(5)
	case 1:
		out = c.ping(out)
	}
	if c.slow {
		n = 40
	}
	for range n {
		op := wsproto.Text
		if c.rand.IntN(3) == 0 {
			op = wsproto.Binary
		}
		m := c.message(op)
		c.owed, c.ops = append(c.owed, m), append(c.ops, op)
		if c.rand.IntN(4) > 0 {
			out = c.sender.Append(out, op, m)
			continue
		}
		for pieces := 2 + c.rand.IntN(4); pieces > 0; pieces-- { // in fragments
			k := c.rand.IntN(len(m) + 1)
			if pieces == 1 {
				k = len(m)
			}
			f := c.sender.Frame(op, m[:k], pieces == 1)
			out, m = f.Append(out), m[k:]
			if pieces > 1 && c.rand.IntN(2) == 0 {
				out = c.ping(out)
			}
		}
	}
	return out
}

// ping appends a ping, whose payload is its number.
func (c *client) ping(out []byte) []byte {
	c.pings++
	return c.sender.Append(out, wsproto.Ping, binary.BigEndian.AppendUint64(nil, c.pings))
}

var words = []string{"stock ", "price ", "rises ", "falls ", "by ", "5 % ", "10 % ", "Köln ", "東京 ", "€ ", "in ",
	"the "}

// message returns a message with its number, so that one that comes back instead of another can be
// told.
func (c *client) message(op wsproto.Opcode) (m []byte) {
	if n := len(c.spare); n > 0 {
		m, c.spare = c.spare[n-1][:0], c.spare[:n-1]
	}
	m = fmt.Appendf(m, "%d/%d ", c.id, c.seq)
	c.seq++
	size := 20 + c.rand.IntN(400)
	switch {
	case c.slow:
		size = 4 << 10
	case c.rand.IntN(40) == 0:
		size = 1 + c.rand.IntN(60<<10)
	}
	for len(m) < size {
		if op == wsproto.Binary && c.rand.IntN(3) == 0 {
			m = binary.BigEndian.AppendUint32(m, c.rand.Uint32())
			continue
		}
		m = append(m, words[c.rand.IntN(len(words))]...)
	}
	return m
}

// receive reads once, and checks what has come.
func (c *client) receive() error {
	for len(c.in) > 0 {
		ev, n, err := c.receiver.Next(c.in)
		if err != nil {
			return err
		}
		c.in = c.in[n:]
		if ev.Kind == wsproto.EventNone {
			break
		}
		if err := c.check(ev); err != nil {
			return err
		}
		if len(c.owed) == 0 && c.pong == c.pings {
			return nil
		}
	}
	rest := copy(c.buf, c.in)
	n, err := c.nc.Read(c.buf[rest:])
	now := time.Now()
	if wait := int64(now.Sub(c.heard)); wait > c.worst.Load() {
		c.worst.Store(wait)
	}
	c.heard = now
	c.in = c.buf[:rest+n]
	if err != nil && n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = faultf("%d messages have not come back after %v", len(c.owed), patience)
		}
		return err
	}
	return nil
}

// fault is an error that no kill explains.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func faultf(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }

// check compares an event with what is to come.
func (c *client) check(ev wsproto.Event) error {
	switch ev.Kind {
	case wsproto.EventMessage:
		if len(c.owed) == 0 {
			return faultf("a message too many: %.40q", ev.Payload)
		}
		want := c.owed[0]
		if ev.Opcode != c.ops[0] || !bytes.Equal(ev.Payload, want) {
			return faultf("a wrong message: %v of %d bytes, %.40q; want %v of %d bytes, %.40q", ev.Opcode,
				len(ev.Payload), ev.Payload, c.ops[0], len(want), want)
		}
		c.spare = append(c.spare, want)
		if len(c.spare) > 2 || cap(want) > 1<<10 {
			c.spare = c.spare[:len(c.spare)-1]
		}
		c.owed, c.ops = c.owed[1:], c.ops[1:]
		if len(c.owed) == 0 {
			c.owed, c.ops = nil, nil
		}
	case wsproto.EventPong: // only the last of several pings need be answered
		if len(ev.Payload) != 8 {
			return faultf("a pong of %d bytes", len(ev.Payload))
		}
		n := binary.BigEndian.Uint64(ev.Payload)
		if n <= c.pong || n > c.pings {
			return faultf("pong %d after %d, of %d", n, c.pong, c.pings)
		}
		c.pong = n
	case wsproto.EventClose:
		return fmt.Errorf("%w: code %d, %q", errClosed, ev.Code, ev.Payload)
	default:
		return faultf("event %d", ev.Kind)
	}
	return nil
}

var errClosed = errors.New("the server has closed the connection")

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
