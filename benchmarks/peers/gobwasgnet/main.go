// Command gobwas-gnet is a WebSocket echo and broadcast server on github.com/panjf2000/gnet, by
// github.com/gobwas/ws, as gnet's example of a WebSocket server is.
//
// Unlike that example it copies no input to a buffer of its own: the handshake and the frames are
// taken from gnet's buffer when they are whole, and payloads are unmasked there. What messages that
// arrived together are answered with goes out in one write.
package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/gnetpeer"
	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(false)
	s := &server{broadcast: o.Broadcast, room: make(map[gnet.Conn]bool)}
	gnetpeer.Run(s, o, true)
}

// server has one loop, so it needs no lock.
type server struct {
	gnet.BuiltinEventEngine
	broadcast bool
	room      map[gnet.Conn]bool // the receivers of broadcasts
	in        bytes.Reader
	out       bytes.Buffer
}

// conn is the state of an open WebSocket.
type conn struct{ state ws.State }

// OnClose forgets c.
func (s *server) OnClose(c gnet.Conn, _ error) gnet.Action {
	delete(s.room, c)
	return gnet.None
}

// OnTraffic does the handshake, or answers the frames that are whole.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	w, ok := c.Context().(*conn)
	if !ok {
		if done, err := s.upgrade(c); err != nil {
			return gnet.Close
		} else if !done {
			return gnet.None
		}
		w = &conn{ws.StateServerSide}
		c.SetContext(w)
		if s.broadcast {
			s.room[c] = true
		}
	}
	action := s.frames(c, w)
	if s.out.Len() > 0 {
		c.Write(s.out.Bytes())
		s.out.Reset()
		if s.out.Cap() > peer.MaxMessage {
			s.out = bytes.Buffer{}
		}
	}
	return action
}

// upgrade answers the handshake if it is whole.
func (s *server) upgrade(c gnet.Conn) (done bool, err error) {
	b, _ := c.Peek(-1)
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return false, nil
	}
	s.in.Reset(b[:end+4])
	var u ws.Upgrader
	if _, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{&s.in, &s.out}); err != nil {
		return false, err
	}
	_, err = c.Discard(end + 4)
	return true, err
}

var errClosed = errors.New("closing handshake")

// frames answers the frames that are whole. A large one is looked at again when more of it is
// there, and copied by gnet only when it is whole.
func (s *server) frames(c gnet.Conn, w *conn) gnet.Action {
	for {
		left := c.InboundBuffered()
		b, _ := c.Peek(min(left, ws.MaxHeaderSize))
		s.in.Reset(b)
		h, err := ws.ReadHeader(&s.in)
		switch {
		case left == 0 || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return gnet.None
		case err != nil || ws.CheckHeader(h, w.state) != nil || h.Length > peer.MaxMessage:
			return gnet.Close
		}
		size := ws.HeaderSize(h) + int(h.Length)
		if left < size {
			return gnet.None
		}
		whole, _ := c.Peek(size)
		payload := whole[ws.HeaderSize(h):]
		ws.Cipher(payload, h.Mask, 0)
		err = s.frame(w, h, payload)
		c.Discard(size)
		if err != nil {
			return gnet.Close
		}
	}
}

// frame answers a frame, each fragment by itself.
func (s *server) frame(w *conn, h ws.Header, payload []byte) error {
	answer := ws.Header{Fin: h.Fin, OpCode: h.OpCode, Length: h.Length}
	switch {
	case h.OpCode == ws.OpPing:
		answer.OpCode = ws.OpPong
	case h.OpCode == ws.OpPong:
		return nil
	case h.OpCode.IsData() || h.OpCode == ws.OpContinuation:
		w.state = w.state.Set(ws.StateFragmented)
		if h.Fin {
			w.state = w.state.Clear(ws.StateFragmented)
		}
		if s.broadcast {
			s.toAll(answer, payload)
			return nil
		}
	}
	ws.WriteHeader(&s.out, answer)
	s.out.Write(payload)
	if h.OpCode == ws.OpClose {
		return errClosed
	}
	return nil
}

// toAll sends a frame to everybody, encoded once.
func (s *server) toAll(h ws.Header, payload []byte) {
	b := peer.Buffer()
	defer peer.Free(b)
	ws.WriteHeader(b, h)
	b.Write(payload)
	for to := range s.room {
		to.Write(b.Bytes())
	}
}
