package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// servers has the libraries, each used on a server as its documentation recommends, with reused
// buffers where that is possible.
var servers = []struct {
	name   string
	accept acceptor
}{
	{"myriad", acceptSession},
	{"wsconn", acceptWsconn},
	{"gobwas", acceptGobwas},
	{"gorilla", acceptGorilla},
	{"gws", acceptGws},
	{"coder", acceptCoder},
}

// acceptor answers an opening handshake.
type acceptor func(net.Conn) (server, error)

// server is a connection at the server's end.
type server interface {
	receive(n int, got func([]byte)) error // receives n messages
	send(op wsproto.Opcode, b []byte) error
}

// session does what a connection of codec/websocket does, without an engine. All connections share
// one buffer.
type session struct {
	nc      net.Conn
	session wsproto.Receiver
	in, out []byte
}

func acceptSession(nc net.Conn) (server, error) {
	s := &session{nc: nc, session: wsproto.NewReceiver(&sessions, nil)}
	s.in, s.out = shared[:cap(shared)/2], shared[cap(shared)/2:]
	n, err := nc.Read(s.in)
	if err != nil {
		return nil, err
	}
	b, err := answer(s.in[:n], s.out[:0])
	if err != nil {
		return nil, err
	}
	_, err = nc.Write(b)
	return s, err
}

var (
	sessions wsproto.Config
	shared   = make([]byte, 512<<10)
	request  handshake.Request // a Request can be reused
)

var errShort = errors.New("incomplete opening handshake")

// answer appends the response to an opening handshake.
func answer(head, dst []byte) ([]byte, error) {
	var scanned uint32
	n, err := handshake.ParseRequest(head, &scanned, &request, nil)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errShort
	}
	key, err := request.CheckUpgrade()
	if err != nil {
		return nil, err
	}
	if err := request.CheckOrigin(nil); err != nil {
		return nil, err
	}
	if _, err := request.Subprotocol(nil); err != nil {
		return nil, err
	}
	return handshake.AppendResponse(dst, key, "", nil, nil)
}

func (s *session) receive(n int, got func([]byte)) error {
	var have []byte
	for n > 0 {
		ev, used, err := s.session.Next(have)
		if err != nil {
			return err
		}
		have = have[used:]
		if ev.Kind == wsproto.EventMessage {
			got(ev.Payload)
			n--
			continue
		}
		left := copy(s.in, have)
		k, err := s.nc.Read(s.in[left:])
		if err != nil {
			return err
		}
		have = s.in[:left+k]
	}
	return nil
}

func (s *session) send(op wsproto.Opcode, b []byte) error {
	if len(b) <= 16<<10 {
		_, err := s.nc.Write(wsproto.AppendFrame(s.out[:0], op, b))
		return err
	}
	header := wsproto.AppendHeader(s.out[:0], wsproto.Header{Fin: true, Opcode: op, Length: uint64(len(b))})
	if _, err := s.nc.Write(header); err != nil {
		return err
	}
	_, err := s.nc.Write(b) // a loop sends both by one writev
	return err
}

type wsconnServer struct{ c *wsconn.Conn }

func acceptWsconn(nc net.Conn) (server, error) {
	c, err := wsconn.Server(context.Background(), nc, nil)
	return wsconnServer{c}, err
}

func (s wsconnServer) receive(n int, got func([]byte)) error {
	for ; n > 0; n-- {
		_, b, err := s.c.Read(context.Background())
		if err != nil {
			return err
		}
		got(b)
	}
	return nil
}

func (s wsconnServer) send(op wsproto.Opcode, b []byte) error {
	return s.c.Write(context.Background(), op, b)
}

type gobwasServer struct {
	nc      net.Conn
	reader  *wsutil.Reader
	message bytes.Buffer
}

func acceptGobwas(nc net.Conn) (server, error) {
	_, err := ws.Upgrade(nc)
	return &gobwasServer{nc: nc, reader: &wsutil.Reader{Source: nc, State: ws.StateServerSide, CheckUTF8: true}}, err
}

func (s *gobwasServer) receive(n int, got func([]byte)) error {
	for ; n > 0; n-- {
		if _, err := s.reader.NextFrame(); err != nil {
			return err
		}
		if err := readInto(&s.message, s.reader); err != nil {
			return err
		}
		got(s.message.Bytes())
	}
	return nil
}

func (s *gobwasServer) send(op wsproto.Opcode, b []byte) error {
	return wsutil.WriteServerMessage(s.nc, ws.OpCode(op), b)
}

// readInto reads a message into a reused buffer.
func readInto(b *bytes.Buffer, r io.Reader) error {
	b.Reset()
	_, err := b.ReadFrom(r)
	return err
}

type gorillaServer struct {
	c       *gorilla.Conn
	message bytes.Buffer
}

var gorillaUpgrader gorilla.Upgrader

func acceptGorilla(nc net.Conn) (server, error) {
	w, r, err := readRequest(nc)
	if err != nil {
		return nil, err
	}
	c, err := gorillaUpgrader.Upgrade(w, r, nil)
	return &gorillaServer{c: c}, err
}

func (s *gorillaServer) receive(n int, got func([]byte)) error {
	for ; n > 0; n-- {
		_, r, err := s.c.NextReader()
		if err != nil {
			return err
		}
		if err := readInto(&s.message, r); err != nil {
			return err
		}
		got(s.message.Bytes())
	}
	return nil
}

func (s *gorillaServer) send(op wsproto.Opcode, b []byte) error {
	return s.c.WriteMessage(int(op), b)
}

type coderServer struct {
	c       *coder.Conn
	message bytes.Buffer
}

func acceptCoder(nc net.Conn) (server, error) {
	w, r, err := readRequest(nc)
	if err != nil {
		return nil, err
	}
	c, err := coder.Accept(w, r, nil)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(-1)
	return &coderServer{c: c}, nil
}

func (s *coderServer) receive(n int, got func([]byte)) error {
	for ; n > 0; n-- {
		_, r, err := s.c.Reader(context.Background())
		if err != nil {
			return err
		}
		if err := readInto(&s.message, r); err != nil {
			return err
		}
		got(s.message.Bytes())
	}
	return nil
}

func (s *coderServer) send(op wsproto.Opcode, b []byte) error {
	return s.c.Write(context.Background(), coder.MessageType(op), b)
}

// gwsServer is called back for each message until the connection ends.
type gwsServer struct{ c *gws.Conn }

// gwsEvents has the callbacks of the connection that receives.
type gwsEvents struct {
	gws.BuiltinEventHandler
	got  func([]byte)
	left int
}

var (
	events      gwsEvents
	gwsUpgrader = gws.NewUpgrader(&events, &gws.ServerOption{CheckUtf8Enabled: true})
)

func acceptGws(nc net.Conn) (server, error) {
	w, r, err := readRequest(nc)
	if err != nil {
		return nil, err
	}
	c, err := gwsUpgrader.UpgradeFromConn(nc, w.rw.Reader, r)
	return gwsServer{c}, err
}

func (e *gwsEvents) OnMessage(_ *gws.Conn, m *gws.Message) {
	e.left--
	e.got(m.Bytes())
	m.Close()
}

func (s gwsServer) receive(n int, got func([]byte)) error {
	events.left, events.got = n, got
	s.c.ReadLoop()
	if events.left != 0 {
		return fmt.Errorf("%d messages did not arrive", events.left)
	}
	return nil
}

func (s gwsServer) send(op wsproto.Opcode, b []byte) error {
	return s.c.WriteMessage(gws.Opcode(op), b)
}
