package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

// threshold is the size in bytes below which messages are not compressed, as in coder and gws.
const threshold = 512

// conn is a connection with whole messages. Any goroutine may write to it.
type conn struct {
	net.Conn
	mu         sync.Mutex
	compressed bool // compression was negotiated
	message    wsflate.MessageState
	in         wsutil.Reader
	control    wsutil.FrameHandlerFunc
}

func newConn(nc net.Conn, compressed bool) *conn {
	c := &conn{Conn: nc, compressed: compressed}
	c.control = wsutil.ControlFrameHandler(c, ws.StateServerSide)
	c.in = wsutil.Reader{
		Source:         bufio.NewReaderSize(nc, 4<<10),
		State:          ws.StateServerSide,
		MaxMessageSize: peer.MaxMessage,
		OnIntermediate: c.control,
	}
	if compressed {
		c.in.State |= ws.StateExtended
		c.in.Extensions = []wsutil.RecvExtension{&c.message}
	}
	return c
}

// Write writes whole frames.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Conn.Write(b)
}

// messages echoes or broadcasts messages.
func (s *server) messages(c *conn) {
	defer c.Close()
	if s.Broadcast {
		s.room.Join(c)
		defer s.room.Leave(c)
	}
	for {
		h, err := c.in.NextFrame()
		if err != nil {
			return
		}
		if h.OpCode.IsControl() {
			if c.control(h, &c.in) != nil {
				return
			}
			continue
		}
		b := peer.Buffer()
		if err = c.read(b); err == nil {
			m := message{op: h.OpCode, data: b.Bytes()}
			if s.Broadcast {
				// A connection's reader sees errors.
				s.room.Each(func(to *conn) { to.Write(m.frame(to.compressed)) })
			} else {
				_, err = c.Write(m.frame(c.compressed))
			}
			m.free()
		}
		peer.Free(b)
		if err != nil {
			return
		}
	}
}

func (c *conn) read(b *bytes.Buffer) error {
	if !c.message.IsCompressed() {
		_, err := b.ReadFrom(&c.in)
		return err
	}
	r := inflaters.Get().(*wsflate.Reader)
	defer inflaters.Put(r)
	r.Reset(&c.in)
	n, err := b.ReadFrom(io.LimitReader(r, peer.MaxMessage+1))
	if n > peer.MaxMessage {
		return wsutil.ErrMessageTooLarge
	}
	return err
}

// message is a message to send to connections with or without compression. Each of both frames is
// encoded once, when it is needed.
type message struct {
	op     ws.OpCode
	data   []byte
	frames [2]*bytes.Buffer
}

func (m *message) frame(compressed bool) []byte {
	form, payload := 0, m.data
	h := ws.Header{Fin: true, OpCode: m.op}
	if compressed && len(payload) >= threshold {
		form, h.Rsv = 1, ws.Rsv(true, false, false)
	}
	if m.frames[form] == nil {
		if form == 1 {
			deflated := deflate(payload)
			defer peer.Free(deflated)
			payload = deflated.Bytes()
		}
		h.Length = int64(len(payload))
		b := peer.Buffer()
		ws.WriteHeader(b, h)
		b.Write(payload)
		m.frames[form] = b
	}
	return m.frames[form].Bytes()
}

func (m *message) free() {
	for _, b := range m.frames {
		if b != nil {
			peer.Free(b)
		}
	}
}
