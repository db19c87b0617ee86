package soak

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// takeover is compression with the context of earlier messages.
func takeover() *websocket.Compression {
	return &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
}

const maxMessage = 1 << 20

// server is the service that behaves. The path of a request says what it is for.
func (g *generation) server() *websocket.Server {
	return &websocket.Server{
		Compression: takeover(),
		Handshake:   func(h *websocket.Handshake) { h.Conn.Value = h.Request().URL.Path },
		Open: func(c *websocket.Conn) {
			switch c.Value {
			case "/stream":
				s := c.Stream(websocket.Binary)
				g.helpers.Go(func() {
					io.Copy(s, s)
					s.Close()
				})
			case "/room":
				g.room.join(c)
			}
		},
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if c.Value == "/source" { // again as SendFrom
				text := string(data)
				err := c.SendFrom(op, strings.NewReader(text), func(error) {})
				c.Send(op, []byte("behind")) // waits for that
				if err != nil && !errors.Is(err, engine.ErrClosed) {
					g.Errorf("SendFrom: %v", err)
				}
				return
			}
			c.Send(op, data)
		},
		Piece:  func(c *websocket.Conn, op websocket.Opcode, data []byte, last bool) { c.SendPiece(op, data, last) },
		Limits: websocket.Limits{MaxWhole: 200_000, MaxMessage: maxMessage},
		Close: func(c *websocket.Conn, _ error) {
			if c.Value == "/room" {
				g.room.leave(c)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				g.fault("reading the body of a page", err)
			}
			w.Write(b)
		}),
		Refused:                 func(websocket.Refusal) { panic("Refused") },
		MaxHandshakesPerAddress: -1, MaxHTTPPerAddress: -1,
	}
}

// wildServer has a callback that panics for each path, and readers that are too slow.
func (g *generation) wildServer() *websocket.Server {
	in := func(c *websocket.Conn, callback string) {
		if c.Value == "/"+callback {
			panic("in " + callback)
		}
	}
	return &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			h.Conn.Value = h.Request().URL.Path
			in(h.Conn, "Handshake")
		},
		Open: func(c *websocket.Conn) {
			switch in(c, "Open"); c.Value {
			case "/slow":
				g.slow.join(c)
			case "/source":
				c.SendFrom(websocket.Text, wildReader{}, func(error) { panic("done of SendFrom") })
			case "/timer":
				c.AfterFunc(time.Millisecond, func() { panic("timer") })
			case "/post":
				c.Handle().Post(func(*websocket.Conn) { panic("post") })
			case "/drained":
				c.Send(websocket.Binary, make([]byte, 8<<20))
			}
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { in(c, "Message") },
		Piece:   func(c *websocket.Conn, _ websocket.Opcode, _ []byte, _ bool) { in(c, "Piece") },
		Ping:    func(c *websocket.Conn, _ []byte) { in(c, "Ping") },
		Drained: func(c *websocket.Conn) { panic("Drained") },
		Limits:  websocket.Limits{MaxWhole: 1000},
		Close: func(c *websocket.Conn, err error) {
			if c.Value == "/slow" {
				g.slow.leave(c)
				g.told(c.RemoteAddr(), err)
			}
			panic("Close")
		},
		MaxHandshakesPerAddress: -1,
	}
}

// wildReader is what SendFrom must survive.
type wildReader struct{}

func (wildReader) Read([]byte) (int, error) { panic("Read") }

// wildError returns an error with methods that panic.
func wildError() error { return (*panicking)(nil) }

type panicking struct{ text string }

func (p *panicking) Error() string { return p.text }
func (p *panicking) Unwrap() error { panic("Unwrap") }
