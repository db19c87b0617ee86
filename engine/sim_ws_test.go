package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// wsText is longer than any message.
var wsText = strings.Repeat("abcdefghijklmnopqrstuvwxyz", 1<<15/26)

// wsClient sends messages, fragmented and mixed with pings, and expects each back, whole and in
// order.
type wsClient struct {
	r       *run
	rng     *rand.Rand
	p       peer
	session wsproto.Receiver

	out      []byte // encoded, not sent
	in       []byte // received, not consumed
	open     bool
	to       int // messages to send
	expected [][]byte
	pings    int // sent, numbered
	// the latest that was answered: those that come while we take nothing may be passed over, but
	// for the last
	ponged  int
	closing bool
	closed  bool // by the server's Close frame
	gone    bool
	count   int
	err     error
}

var wsClientConfig = wsproto.Config{Role: wsproto.Client}

func newWSClient(r *run, rng *rand.Rand) client {
	c := &wsClient{r: r, rng: rng, p: r.dial(), session: wsproto.NewReceiver(&wsClientConfig, nil),
		to: rng.IntN(30)}
	c.out = []byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	return c
}

func (c *wsClient) step() {
	rng := c.rng
	if len(c.out) < 4096 && c.to > 0 && rng.IntN(2) == 0 {
		c.to--
		c.say()
	}
	if c.to == 0 && len(c.expected) == 0 && c.ponged == c.pings && c.open && !c.closing {
		c.closing = true
		if rng.IntN(4) == 0 {
			c.p.Reset()
			c.gone = true
			return
		}
		c.frame(wsproto.Close, true, wsproto.AppendClose(nil, wsproto.NormalClosure, "done"))
	}
	if len(c.out) > 0 {
		n := c.p.Send(c.out[:1+rng.IntN(len(c.out))])
		c.out = c.out[n:]
		c.count += n
	}
	b := c.p.Recv(rng.IntN(5000))
	c.count += len(b)
	c.in = append(c.in, b...)
	c.receive()
}

func (c *wsClient) frame(op wsproto.Opcode, fin bool, p []byte) {
	key := wsproto.Key(c.rng.Uint32())
	c.out = wsproto.AppendHeader(c.out, wsproto.Header{Fin: fin, Opcode: op, Masked: true, Key: key,
		Length: uint64(len(p))})
	n := len(c.out)
	c.out = append(c.out, p...)
	wsproto.Mask(c.out[n:], key)
}

// say queues one message, in up to four fragments with pings between them.
func (c *wsClient) say() {
	rng := c.rng
	msg := make([]byte, rng.IntN(1<<rng.IntN(15)))
	copy(msg, wsText[len(msg)%26:])
	op := wsproto.Text
	if rng.IntN(2) == 0 {
		op = wsproto.Binary
	}
	c.expected = append(c.expected, append([]byte{byte(op)}, msg...))
	for fragments := 1 + rng.IntN(4); ; op = wsproto.Continuation {
		fragments--
		n := len(msg)
		if fragments > 0 {
			n = rng.IntN(len(msg) + 1)
		}
		c.frame(op, fragments == 0, msg[:n])
		msg = msg[n:]
		if fragments == 0 {
			return
		}
		if rng.IntN(3) == 0 {
			c.pings++
			c.frame(wsproto.Ping, true, fmt.Appendf(nil, "are you there, %d", c.pings))
		}
	}
}

func (c *wsClient) receive() {
	if !c.open {
		end := bytes.Index(c.in, []byte("\r\n\r\n"))
		if end < 0 {
			return
		}
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 101 ")) {
			c.err = fmt.Errorf("response %q", c.in)
			return
		}
		c.in, c.open = c.in[end+4:], true
	}
	for c.err == nil {
		ev, n, err := c.session.Next(c.in)
		c.in = c.in[n:]
		switch {
		case err != nil:
			c.err = err
		case ev.Kind == wsproto.EventNone:
			return
		case ev.Kind == wsproto.EventPong:
			before := c.ponged
			if fmt.Sscanf(string(ev.Payload), "are you there, %d", &c.ponged); c.ponged <= before ||
				c.ponged > c.pings {
				c.err = fmt.Errorf("pong %q after that of ping %d", ev.Payload, before)
			}
		case ev.Kind == wsproto.EventClose:
			c.closed = true
			if ev.Code != wsproto.NormalClosure && ev.Code != wsproto.GoingAway {
				c.err = fmt.Errorf("closed with %d %s", ev.Code, ev.Payload)
			}
		case ev.Kind == wsproto.EventMessage:
			if len(c.expected) == 0 || !bytes.Equal(c.expected[0], append([]byte{byte(ev.Opcode)}, ev.Payload...)) {
				c.err = fmt.Errorf("a message of %d bytes came back that was not the next", len(ev.Payload))
				return
			}
			c.expected = c.expected[1:]
		}
	}
}

func (c *wsClient) moved() int { return c.count }

func (c *wsClient) leave() {
	c.gone = true
	c.p.Close()
}

func (c *wsClient) done() bool { return c.gone || c.p.EOF() || c.p.Err() != nil }

func (c *wsClient) fail() error {
	broken := c.p.Faulted() || c.r.net.Counts().NoMemory > 0 || c.gone || c.r.late()
	switch {
	case c.err != nil:
		return c.err
	case c.p.EOF() && !broken && (len(c.expected) > 0 || c.ponged < c.pings || !c.closed):
		return fmt.Errorf("EOF with %d messages and %d pongs missing, Close frame: %v", len(c.expected),
			c.pings-c.ponged, c.closed)
	case c.p.Err() != nil && !broken && !c.closed:
		return fmt.Errorf("the server broke the connection: %w", c.p.Err())
	}
	return nil
}

// wsWitness follows a WebSocket connection's callbacks.
type wsWitness struct {
	*engine.Conn
	witness
	rng *rand.Rand
}

var wsScenario = scenario{
	accept: func(r *run) func(*engine.Conn) engine.Protocol {
		of := func(c *websocket.Conn) *wsWitness { return c.Value.(*wsWitness) }
		server := &websocket.Server{
			// The simulated clock jumps ahead when all wait.
			Limits: websocket.Limits{HandshakeTimeout: -1, IdleTimeout: -1, CloseTimeout: -1,
				ProgressTimeout: -1, ControlRate: -1},
			Open: func(c *websocket.Conn) {
				w := &wsWitness{Conn: c.EngineConn(), rng: r.source(int(c.EngineConn().RemoteAddr().Port()))}
				c.Value = w
				r.served = append(r.served, &w.witness)
			},
			Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
				w := of(c)
				w.called("Message")
				if w.rng.IntN(10) == 0 { // by the way that other goroutines go
					c.Handle().Post(func(*websocket.Conn) {})
				}
				if _, err := c.Send(op, data); err != nil && !errors.Is(err, engine.ErrClosed) {
					r.err = fmt.Errorf("Send: %w", err)
				}
				if w.rng.IntN(8) == 0 {
					w.PauseRead()
					w.AfterFunc(1, w.ResumeRead)
				}
			},
			Ping:  func(c *websocket.Conn, _ []byte) { of(c).called("Ping") },
			Close: func(c *websocket.Conn, err error) { of(c).Closed(err) },
		}
		return server.Accept
	},
	client: newWSClient,
}

func TestSimulatedWebSocketEcho(t *testing.T) { simulate(t, seeds(t), wsScenario.run) }

// TestSimulatedWebSocketLayer is TestSimulatedWebSocketEcho behind a layer.
func TestSimulatedWebSocketLayer(t *testing.T) {
	s := wsScenario
	s.layered = true
	simulate(t, seeds(t), s.run)
}
