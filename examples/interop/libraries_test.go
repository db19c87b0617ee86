package interop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// Each library's server, inside net/http, echoes, and does what these texts say.
const (
	doPing  = "do: ping"      // and say ponged when the pong has come
	doSplit = "do: fragments" // send fragments in as many frames as the library makes of it
	doClose = "do: close"     // with code 4001
	ponged  = "ponged"
)

var fragments = strings.Repeat("0123456789 ", 40_000)

// subprotocol is the one that every server speaks.
const subprotocol = "chat"

func gorillaServer(compress bool) http.Handler {
	upgrader := gorilla.Upgrader{EnableCompression: compress, Subprotocols: []string{subprotocol},
		WriteBufferSize: 2000}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetPongHandler(func(string) error { return c.WriteMessage(gorilla.TextMessage, []byte(ponged)) })
		for {
			kind, b, err := c.ReadMessage()
			if err != nil {
				return
			}
			switch string(b) {
			case doPing:
				c.WriteControl(gorilla.PingMessage, nil, time.Now().Add(patience))
			case doSplit:
				w, _ := c.NextWriter(kind)
				io.WriteString(w, fragments)
				w.Close()
			case doClose:
				c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4001, "bye"), time.Now().Add(patience))
			default:
				c.WriteMessage(kind, b)
			}
		}
	})
}

func coderServer(mode coder.CompressionMode) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: mode, Subprotocols: []string{subprotocol}})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
		defer cancel()
		for {
			kind, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			switch string(b) {
			case doPing:
				go func() {
					if c.Ping(ctx) == nil {
						c.Write(ctx, kind, []byte(ponged))
					}
				}()
			case doSplit:
				w, _ := c.Writer(ctx, kind)
				io.WriteString(w, fragments)
				w.Close()
			case doClose:
				c.Close(4001, "bye")
			default:
				c.Write(ctx, kind, b)
			}
		}
	})
}

type gwsServer struct{ gws.BuiltinEventHandler }

// OnPing is there because the built-in one forgets what the ping has in it, which the pong must
// have, too (RFC 6455 section 5.5.3).
func (gwsServer) OnPing(c *gws.Conn, payload []byte) { c.WritePong(payload) }

func (gwsServer) OnPong(c *gws.Conn, _ []byte) { c.WriteString(ponged) }

func (gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	switch string(m.Bytes()) {
	case doPing:
		c.WritePing(nil)
	case doSplit:
		c.WriteFile(m.Opcode, strings.NewReader(fragments))
	case doClose:
		c.WriteClose(4001, []byte("bye"))
	default:
		c.WriteMessage(m.Opcode, m.Bytes())
	}
}

func gwsHandler(d gws.PermessageDeflate) http.Handler {
	upgrader := gws.NewUpgrader(gwsServer{}, &gws.ServerOption{PermessageDeflate: d, CheckUtf8Enabled: true,
		SubProtocols: []string{subprotocol}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := upgrader.Upgrade(w, r); err == nil {
			c.ReadLoop()
		}
	})
}

// gobwasConn is what one has to write oneself with gobwas, for either end.
type gobwasConn struct {
	net.Conn
	in       io.Reader // Conn, behind what came with the handshake
	state    ws.State
	compress bool
}

// frame sends a frame.
func (c *gobwasConn) frame(f ws.Frame) error {
	if c.state.ClientSide() {
		f.Payload = bytes.Clone(f.Payload)
		f = ws.MaskFrameInPlace(f)
	}
	return ws.WriteFrame(c, f)
}

// message sends a message in as many frames as there are pieces.
func (c *gobwasConn) message(op ws.OpCode, b []byte, pieces int) error {
	f := ws.NewFrame(op, true, b)
	if c.compress {
		f, _ = wsflate.CompressFrame(f)
	}
	for b, size := f.Payload, len(f.Payload)/pieces+1; ; b = b[size:] {
		if len(b) < size {
			f.Header.Fin, f.Header.Length, f.Payload = true, int64(len(b)), b
			return c.frame(f)
		}
		f.Header.Fin, f.Header.Length, f.Payload = false, int64(size), b[:size]
		if err := c.frame(f); err != nil {
			return err
		}
		f.Header.OpCode, f.Header.Rsv = ws.OpContinuation, 0
	}
}

// next receives a message or a pong, and answers pings. A Close frame is answered, and the error.
func (c *gobwasConn) next() (op ws.OpCode, b []byte, err error) {
	var whole ws.Frame
	for {
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return 0, nil, err
		}
		f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
		if _, err := io.ReadFull(c.in, f.Payload); err != nil {
			return 0, nil, err
		}
		if f.Header.Masked {
			f = ws.UnmaskFrameInPlace(f)
		}
		switch f.Header.OpCode {
		case ws.OpPing:
			c.frame(ws.NewPongFrame(f.Payload))
			continue
		case ws.OpPong:
			return ws.OpPong, f.Payload, nil
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(f.Payload)
			c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, "")))
			return 0, nil, &websocket.CloseError{Code: websocket.CloseCode(code), Reason: reason}
		case ws.OpContinuation:
			whole.Payload = append(whole.Payload, f.Payload...)
		default:
			whole = f
		}
		if !f.Header.Fin {
			continue
		}
		whole.Header.Fin, whole.Header.Masked, whole.Header.Length = true, false, int64(len(whole.Payload))
		if c.compress {
			if whole, err = wsflate.DecompressFrame(whole); err != nil {
				return 0, nil, err
			}
		}
		return whole.Header.OpCode, whole.Payload, nil
	}
}

func gobwasServer(compress bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := wsflate.Extension{Parameters: wsflate.DefaultParameters}
		u := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == subprotocol }}
		if compress {
			u.Negotiate = e.Negotiate
		}
		nc, rw, _, err := u.Upgrade(r, w)
		if err != nil {
			return
		}
		defer nc.Close()
		c := &gobwasConn{Conn: nc, in: rw, state: ws.StateServerSide}
		_, c.compress = e.Accepted()
		for {
			op, b, err := c.next()
			switch {
			case err != nil:
				return
			case op == ws.OpPong:
				c.message(ws.OpText, []byte(ponged), 1)
			case string(b) == doPing:
				c.frame(ws.NewPingFrame(nil))
			case string(b) == doSplit:
				c.message(op, []byte(fragments), 7)
			case string(b) == doClose:
				c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye")))
			default:
				c.message(op, b, 1)
			}
		}
	})
}

// wsconnServer is ours.
func wsconnServer(compression *wsconn.Compression) http.Handler {
	config := &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 16 << 20}, Compression: compression,
		Subprotocols: []string{subprotocol}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, config)
		if err != nil {
			return
		}
		defer c.Close(1001, "")
		ctx, cancel := context.WithTimeout(r.Context(), 3*patience)
		defer cancel()
		for {
			op, b, err := c.Read(ctx)
			if err != nil {
				return
			}
			switch string(b) {
			case doPing:
				go func() {
					if c.Ping(ctx) == nil {
						c.Write(ctx, wsconn.Text, []byte(ponged))
					}
				}()
			case doSplit:
				c.Write(ctx, op, []byte(fragments)) // it never sends fragments
			case doClose:
				c.Close(4001, "bye")
			default:
				c.Write(ctx, op, b)
			}
		}
	})
}

// closeCode is the code of the Close frame that err is about, 0 if it is about none.
func closeCode(err error) int {
	var ours *websocket.CloseError
	var blocking *wsconn.CloseError
	var theirs *gorilla.CloseError
	var gwss *gws.CloseError
	switch {
	case errors.As(err, &ours):
		return int(ours.Code)
	case errors.As(err, &blocking):
		return int(blocking.Code)
	case errors.As(err, &theirs):
		return theirs.Code
	case errors.As(err, &gwss):
		return int(gwss.Code)
	}
	return max(0, int(coder.CloseStatus(err)))
}
