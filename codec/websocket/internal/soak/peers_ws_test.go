package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// speaker is what a WebSocket peer does.
type speaker struct {
	url         string
	compression *wsconn.Compression
	stream      bool // the bytes come back, not the messages
	behind      bool // a message follows each
	most        int  // bits of the size of a message
}

var webSockets = map[string]func(*generation) speaker{
	"WebSocket echo": func(g *generation) speaker { return speaker{url: "ws://" + g.ws + "/", most: 17} },
	"compressed WebSocket": func(g *generation) speaker {
		return speaker{url: "ws://" + g.ws + "/", compression: takeover(), most: 17}
	},
	"WebSocket with TLS": func(g *generation) speaker {
		return speaker{url: "wss://" + g.wss + "/", compression: takeover(), most: 17}
	},
	"message in pieces": func(g *generation) speaker {
		return speaker{url: "ws://" + g.ws + "/", compression: takeover(), most: 19}
	},
	"SendFrom": func(g *generation) speaker {
		return speaker{url: "ws://" + g.ws + "/source", behind: true, most: 17}
	},
	"SendFrom, compressed": func(g *generation) speaker {
		return speaker{url: "ws://" + g.ws + "/source", behind: true, compression: takeover(), most: 17}
	},
	"Stream": func(g *generation) speaker { return speaker{url: "ws://" + g.ws + "/stream", stream: true, most: 17} },
	"Stream, compressed": func(g *generation) speaker {
		return speaker{url: "ws://" + g.ws + "/stream", stream: true, compression: takeover(), most: 17}
	},
	"upgraded WebSocket": func(g *generation) speaker {
		return speaker{url: "ws://" + g.webAddress + "/", compression: takeover(), most: 17}
	},
	"WebSocket after pages": func(g *generation) speaker { return speaker{url: "ws://" + g.ws + "/", most: 10} },
}

func (g *generation) dial(ctx context.Context, url string, c *wsconn.Compression) (*wsconn.Conn, error) {
	return wsconn.Dial(ctx, url, &wsconn.Config{Compression: c, TLS: g.client})
}

// webSocket sends messages and wants each back.
func (g *generation) webSocket(rng *rand.Rand, s speaker) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := g.dial(ctx, s.url, s.compression)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.CloseNow()
	for range rng.IntN(30) {
		if err := s.ask(ctx, c, rng); err != nil {
			return err
		}
	}
	if rng.IntN(8) == 0 { // without a closing handshake
		return nil
	}
	return c.Close(wsconn.NormalClosure, "")
}

// ask sends one message, and reads what comes back.
func (s speaker) ask(ctx context.Context, c *wsconn.Conn, rng *rand.Rand) error {
	op, message := wsconn.Binary, pattern(rng, upTo(rng, s.most))
	if !s.stream && rng.IntN(2) == 0 {
		op = wsconn.Text
		for i := range message {
			message[i] = message[i] & 0x7f
		}
	}
	if len(message) > 0 && rng.IntN(2) == 0 { // something that can be compressed
		clear(message[len(message)/2:])
	}
	said := make(chan error, 1)
	go func() { said <- c.Write(ctx, op, message) }()
	err := s.hear(ctx, c, op, message)
	if err != nil {
		c.CloseNow()
	}
	if e := <-said; err == nil {
		err = e
	}
	return err
}

func (s speaker) hear(ctx context.Context, c *wsconn.Conn, op wsconn.Opcode, message []byte) error {
	if s.stream {
		for len(message) > 0 {
			_, got, err := c.Read(ctx)
			if err != nil {
				return err
			}
			if err := same(got, message, false); err != nil {
				return err
			}
			message = message[len(got):]
		}
		return nil
	}
	if err := expect(ctx, c, op, message); err != nil || !s.behind {
		return err
	}
	return expect(ctx, c, op, []byte("behind"))
}

// expect reads one message, which must be this one.
func expect(ctx context.Context, c *wsconn.Conn, op wsconn.Opcode, message []byte) error {
	gotOp, r, err := c.Reader(ctx)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if gotOp != op {
		return wrongf("%v instead of %v", gotOp, op)
	}
	if e := same(got, message, false); e != nil {
		return e
	}
	if err == nil && len(got) < len(message) {
		return wrongf("a message of %d bytes instead of %d", len(got), len(message))
	}
	return err
}

// member listens to a room. No message may be missing but those of which the sender was told.
func (g *generation) member(rng *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := g.dial(ctx, "ws://"+g.ws+"/room", nil)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.CloseNow()
	last := uint64(0)
	for range 1 + rng.IntN(50) {
		_, b, err := c.Read(ctx)
		if err != nil {
			return fmt.Errorf("after message %d of %d: %w", last, g.room.last(), err)
		}
		number := binary.BigEndian.Uint64(b)
		if last != 0 && (number <= last || g.room.missed(last, number) != 0) {
			return wrongf("message %d of a room follows message %d", number, last)
		}
		if err := same(b, numbered(number, len(b)-8), true); err != nil {
			return err
		}
		last = number
	}
	return c.Close(wsconn.NormalClosure, "")
}

// slowReader reads nothing. It must be cut for that.
func (g *generation) slowReader(*rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var d net.Dialer
	reason := make(chan error, 1)
	c, err := wsconn.Dial(ctx, "ws://"+g.wildWS+"/slow", &wsconn.Config{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := d.DialContext(ctx, network, address)
			if err == nil {
				err = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
				g.cuts.Store(nc.LocalAddr().String(), reason) // until the end of the generation
			}
			return nc, err
		}})
	if err != nil {
		return err
	}
	defer c.CloseNow()
	select {
	case err = <-reason:
	case <-ctx.Done():
		return wrongf("a slow reader is not cut")
	}
	if g.ending.Load() || errors.Is(err, engine.ErrSlow) {
		return nil
	}
	return fmt.Errorf("a slow reader is cut with the reason %w", err)
}

// wildWebSocket makes a callback panic. The connection must end then, and in time.
func (g *generation) wildWebSocket(rng *rand.Rand) error {
	all := []string{"Handshake", "Open", "Message", "Piece", "Ping", "source", "timer", "post", "drained"}
	callback := all[rng.IntN(len(all))]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := g.dial(ctx, "ws://"+g.wildWS+"/"+callback, nil)
	if err != nil && callback != "Handshake" && callback != "Open" {
		return err
	}
	for err == nil {
		switch callback { // errors show below
		case "Message":
			c.Write(ctx, wsconn.Text, []byte("hello"))
		case "Piece":
			c.Write(ctx, wsconn.Text, make([]byte, 2000))
		case "Ping":
			go c.Ping(ctx)
		}
		var r io.Reader
		if _, r, err = c.Reader(ctx); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
	}
	if c != nil {
		c.CloseNow()
	}
	if isTimeout(err) {
		return wrong{fmt.Errorf("panic in %s: %w", callback, err)}
	}
	return nil
}

// dialWebSocketAgain has a client on the loops that talks to the engine's own server, and dials
// again when its connection has ended.
func (g *generation) dialWebSocketAgain() {
	const name = "dialled WebSocket"
	id := g.enter(name)
	rng := rand.New(rand.NewPCG(g.seed, id)) // one connection uses it at a time
	var cl *websocket.Client
	var message []byte
	var dial func()
	talk := func(c *websocket.Conn) {
		message = pattern(rng, upTo(rng, 15))
		c.Send(websocket.Binary, message)
	}
	cl = &websocket.Client{
		Compression: takeover(),
		TLS:         g.clients.Client,
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			if err := same(data, message, true); err != nil {
				g.fault(name, wrong{err})
			}
			if rng.IntN(20) == 0 {
				c.Close(websocket.NormalClosure, "")
				return
			}
			talk(c)
		},
		Close: func(_ *websocket.Conn, err error) {
			if websocket.CloseStatus(err) != websocket.NormalClosure {
				g.fault(name, err)
			}
			g.happened(name)
			dial()
			panic("Close of a client")
		},
	}
	dial = func() {
		if g.stopped() {
			g.leave(name)
			return
		}
		url := "ws://" + g.ws + "/"
		if rng.IntN(2) == 0 {
			url = "wss://" + g.wss + "/"
		}
		err := cl.Dial(context.Background(), g.eng, url, func(c *websocket.Conn, err error) {
			if err != nil {
				g.fault(name, err)
				g.leave(name)
				return
			}
			talk(c)
		})
		if err != nil {
			g.fault(name, err)
			g.leave(name)
		}
	}
	dial()
}

// dialAgain dials, sends something, waits for it, and dials again. Every second port refuses.
func (g *generation) dialAgain() {
	const name = "dialled connection"
	id := g.enter(name)
	rng := rand.New(rand.NewPCG(g.seed, id))
	closed := "127.0.0.1:1" // where nobody listens
	var dial func(refused bool)
	dial = func(refused bool) {
		if g.stopped() {
			g.leave(name)
			return
		}
		address := g.plain
		if refused {
			address = closed
		}
		err := g.eng.Dial(context.Background(), "tcp", address, engine.DialConfig{},
			func(c *engine.Conn, err error) engine.Protocol {
				if err != nil {
					if !refused {
						g.fault(name, err)
					}
					dial(false)
					panic("done of Dial")
				}
				if refused {
					g.fault(name, wrongf("somebody listens at %s", address))
				}
				want := pattern(rng, 1+upTo(rng, 15))
				c.Write(append([]byte("echo\n"), want...))
				return &asking{c: c, want: want, closed: func(err error) {
					if err != nil {
						g.fault(name, err)
					}
					g.happened(name)
					dial(rng.IntN(2) == 0)
				}}
			})
		if err != nil {
			g.fault(name, err)
			g.leave(name)
		}
	}
	dial(false)
}

// asking waits for an answer.
type asking struct {
	c      *engine.Conn
	want   []byte
	closed func(error)
	err    error
}

func (p *asking) Feed(src []byte) (int, error) {
	if err := same(src, p.want, false); err != nil {
		p.err = err
		p.c.Abort()
		return len(src), nil
	}
	if p.want = p.want[len(src):]; len(p.want) == 0 {
		p.c.Close()
	}
	return len(src), nil
}

func (p *asking) Closed(err error) {
	if p.err != nil {
		err = p.err
	}
	p.closed(err)
}
