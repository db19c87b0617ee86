package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

// echo sends back each frame unmasked, also if it is a fragment.
type echo struct {
	net.Conn
	in    *bufio.Reader // reads by the echo's own Read
	out   *bufio.Writer // nil: nothing is held back
	state ws.State
	head  [ws.MaxHeaderSize]byte
}

func newEcho(nc net.Conn) *echo {
	e := &echo{Conn: nc, state: ws.StateServerSide}
	e.in = bufio.NewReaderSize(e, 4<<10)
	return e
}

// writers has buffers that are larger than a frame that fits into a reader.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 8<<10) }}

// Read first writes what was held back.
func (e *echo) Read(b []byte) (int, error) {
	if err := e.flush(); err != nil {
		return 0, err
	}
	return e.Conn.Read(b)
}

func (e *echo) flush() error {
	if e.out == nil {
		return nil
	}
	err := e.out.Flush()
	e.out.Reset(nil)
	writers.Put(e.out)
	e.out = nil
	return err
}

func (e *echo) run() {
	defer e.Close()
	for {
		h, err := ws.ReadHeaderBuffer(e.in, e.head[:])
		if err == nil {
			err = ws.CheckHeader(h, e.state)
		}
		if err != nil {
			return
		}
		switch {
		case h.OpCode.IsControl():
			err = e.control(h)
		case h.Length <= int64(e.in.Size()):
			err = e.small(h, h.OpCode)
		case h.Length <= peer.MaxMessage:
			err = e.large(h)
		default:
			return
		}
		if err != nil {
			return
		}
		if !h.OpCode.IsControl() {
			e.state = e.state.Set(ws.StateFragmented)
			if h.Fin {
				e.state = e.state.Clear(ws.StateFragmented)
			}
		}
	}
}

// small answers a frame that fits into the reader's buffer.
func (e *echo) small(h ws.Header, op ws.OpCode) error {
	payload, err := e.in.Peek(int(h.Length))
	if err != nil {
		return err
	}
	ws.Cipher(payload, h.Mask, 0)
	if e.out == nil {
		e.out = writers.Get().(*bufio.Writer)
		e.out.Reset(e.Conn)
	}
	if err := ws.WriteHeaderBuffer(e.out, answer(h, op), e.head[:]); err != nil {
		return err
	}
	e.out.Write(payload)
	_, err = e.in.Discard(len(payload))
	return err
}

// large answers a frame that does not fit into the reader's buffer. It writes header and payload
// together. Nothing is held back before it, because Read was called.
func (e *echo) large(h ws.Header) error {
	b := peer.Buffer()
	defer peer.Free(b)
	if err := ws.WriteHeaderBuffer(b, answer(h, h.OpCode), e.head[:]); err != nil {
		return err
	}
	begin := b.Len()
	if n, err := b.ReadFrom(&io.LimitedReader{R: e.in, N: h.Length}); err != nil || n < h.Length {
		return io.ErrUnexpectedEOF
	}
	ws.Cipher(b.Bytes()[begin:], h.Mask, 0)
	_, err := e.Write(b.Bytes())
	return err
}

func answer(h ws.Header, op ws.OpCode) ws.Header {
	return ws.Header{Fin: h.Fin, OpCode: op, Length: h.Length}
}

var errClosed = errors.New("closing handshake")

func (e *echo) control(h ws.Header) error {
	switch h.OpCode {
	case ws.OpPing:
		return e.small(h, ws.OpPong)
	case ws.OpClose:
		e.small(h, ws.OpClose)
		e.flush()
		return errClosed
	}
	_, err := e.in.Discard(int(h.Length))
	return err
}
