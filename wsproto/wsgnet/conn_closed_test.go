package wsgnet

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// broken is a connection of gnet whose writes fail when the peer has gone: it calls OnClose then,
// and forgets the peer, as gnet does.
type broken struct {
	gnet.Conn
	server *Server
	ctx    any
	in     []byte
	gone   bool // the peer has
	closed bool
	wrong  int // writes after OnClose
}

var errGone = errors.New("gone")

func (b *broken) EventLoop() gnet.EventLoop { return nil }
func (b *broken) Context() any              { return b.ctx }
func (b *broken) SetContext(ctx any)        { b.ctx = ctx }
func (b *broken) OutboundBuffered() int     { return 0 }
func (b *broken) InboundBuffered() int      { return len(b.in) }

func (b *broken) RemoteAddr() net.Addr {
	if b.closed {
		return nil
	}
	return &net.TCPAddr{Port: 7}
}

func (b *broken) Peek(int) ([]byte, error) { return b.in, nil }

func (b *broken) Discard(n int) (int, error) {
	b.in = b.in[n:]
	return n, nil
}

func (b *broken) Write(p []byte) (int, error) {
	switch {
	case b.closed:
		b.wrong++
		return 0, net.ErrClosed
	case b.gone:
		b.closed = true
		b.server.OnClose(b, errGone)
		return 0, errGone
	}
	return len(p), nil
}

const upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// TestNothingIsWrittenToAClosedDescriptor: when an overdue pong found out that the peer had gone,
// a ping was written behind it, to a descriptor that may have been another connection's by then.
func TestNothingIsWrittenToAClosedDescriptor(t *testing.T) {
	var reason error
	var port int
	s := &Server{
		Limits: wsproto.Limits{IdleTimeout: time.Hour, ProgressTimeout: time.Hour},
		Close: func(c *Conn, err error) {
			reason = err
			port = c.RemoteAddr().(*net.TCPAddr).Port
			if err := c.Send(wsproto.Text, []byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Send in Close: %v", err)
			}
		},
	}
	b := &broken{server: s, in: []byte(upgrade)}
	s.OnOpen(b)
	s.OnTraffic(b)
	c := b.ctx.(*Conn)
	defer c.stopTimer()
	if c.state != open || len(b.in) > 0 {
		t.Fatalf("not open: %d, %q", c.state, b.in)
	}
	c.pongDue, c.watch.active, c.watch.silent = true, false, time.Hour
	b.gone = true
	c.look()
	if b.wrong > 0 {
		t.Errorf("%d writes to a closed descriptor", b.wrong)
	}
	if !errors.Is(reason, errGone) || port != 7 {
		t.Errorf("Close got %v, from port %d", reason, port)
	}
}

// TestRemoteAddrInClose: gnet closes a connection within a write, and forgets the address before
// the callback, whose call waits for the end of the traffic.
func TestRemoteAddrInClose(t *testing.T) {
	var closed bool
	s := &Server{
		Message: func(c *Conn, op wsproto.Opcode, data []byte) { c.Send(op, data) },
		Close: func(c *Conn, _ error) {
			if closed = true; c.RemoteAddr() == nil {
				t.Error("no address")
			}
		},
	}
	b := &broken{server: s, in: []byte(upgrade + "\x81\x81\x00\x00\x00\x00a")}
	s.OnOpen(b)
	b.gone = true // before the first frame is answered, together with the handshake
	s.OnTraffic(b)
	if !closed || b.wrong > 0 {
		t.Errorf("closed: %v, %d writes to a closed descriptor", closed, b.wrong)
	}
}

// reused is a connection whose input gnet gives to others when it ends.
type reused struct{ *looped }

func (r *reused) Write([]byte) (int, error) {
	r.server.OnClose(r, errGone)
	for i := range r.in {
		r.in[i] = 'B'
	}
	return 0, errGone
}

// TestMessageInACallbackThatEndsTheConnection: the message of a callback whose write found out that
// the peer had gone was overwritten by what other peers sent, if it had waited for its turn.
func TestMessageInACallbackThatEndsTheConnection(t *testing.T) {
	const want = "my own"
	var got string
	s := &Server{
		Compression: &deflate.Compression{},
		Message: func(c *Conn, _ wsproto.Opcode, data []byte) {
			if string(data) != want {
				c.worked = maxShare
				return
			}
			c.NetConn().Write(data)
			got = string(data)
		},
	}
	r := &reused{looping(t, s)}
	r.ctx.(*Conn).conn = r
	p := wsproto.Config{Role: wsproto.Client}
	sender := wsproto.NewSender(&p, nil)
	r.in = sender.Append(r.in, wsproto.Binary, []byte("before"))
	r.in = sender.Append(r.in, wsproto.Binary, []byte(want))
	s.OnTraffic(r)
	r.loop.run(t)
	if got != want {
		t.Errorf("the message has become %q", got)
	}
}

// TestPanicInACallback: behind a panic of Message, Close was never called, and the windows of the
// connection counted for ever. gnet ends the process then, but package engine/gnet closes the
// connection.
func TestPanicInACallback(t *testing.T) {
	for _, gone := range []bool{false, true} { // the peer has, which a write finds out
		closed := 0
		s := &Server{
			Message: func(c *Conn, _ wsproto.Opcode, _ []byte) {
				c.NetConn().Write([]byte("x"))
				panic("Message")
			},
			Close: func(*Conn, error) { closed++ },
		}
		b := &broken{server: s, in: []byte(upgrade)}
		s.OnOpen(b)
		s.OnTraffic(b)
		b.in, b.gone = []byte("\x81\x81\x00\x00\x00\x00a"), gone
		func() {
			defer func() { recover() }()
			s.OnTraffic(b)
		}()
		if !b.closed {
			s.OnClose(b, errGone)
		}
		if closed != 1 || b.wrong > 0 {
			t.Errorf("gone %v: Close was called %d times, %d writes to a closed descriptor", gone, closed, b.wrong)
		}
	}
}
