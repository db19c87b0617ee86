package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/lxzan/gws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
	"github.com/myriadnet/myriad/wsproto"
)

// TestOurClients: the client that blocks and the one on the loops, with the servers of each library
// inside net/http as judges, with compression and without; it is used where both ends want it.
func TestOurClients(t *testing.T) {
	e := loops(t)
	for _, server := range []struct {
		name     string
		handler  http.Handler
		compress bool
	}{
		{name: "gorilla", handler: gorillaServer(false)},
		{name: "gorilla deflate", handler: gorillaServer(true), compress: true},
		{name: "coder", handler: coderServer(coder.CompressionDisabled)},
		{name: "coder deflate", handler: coderServer(coder.CompressionNoContextTakeover), compress: true},
		{name: "coder deflate takeover", handler: coderServer(coder.CompressionContextTakeover), compress: true},
		{name: "gws", handler: gwsHandler(gws.PermessageDeflate{})},
		{name: "gws deflate", handler: gwsHandler(gws.PermessageDeflate{Enabled: true, Threshold: 1}), compress: true},
		{name: "gws deflate takeover",
			handler: gwsHandler(gws.PermessageDeflate{Enabled: true, Threshold: 1, ServerContextTakeover: true,
				ClientContextTakeover: true, ServerMaxWindowBits: 10, ClientMaxWindowBits: 11}), compress: true},
		{name: "gobwas", handler: gobwasServer(false)},
		{name: "gobwas deflate", handler: gobwasServer(true), compress: true},
		{name: "wsconn deflate takeover",
			handler: wsconnServer(&wsconn.Compression{ServerTakeover: true, ClientTakeover: true}), compress: true},
	} {
		for _, compression := range []struct {
			name string
			*websocket.Compression
		}{
			{name: "plain"},
			{name: "deflate", Compression: &websocket.Compression{}},
			{name: "deflate takeover",
				Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}},
		} {
			for kind, dial := range map[string]func(*testing.T, string) client{
				"wsconn": dialWsconn(compression.Compression), "loop": dialLoop(e, compression.Compression),
			} {
				t.Run(fmt.Sprintf("%s %s with %s", kind, compression.name, server.name), func(t *testing.T) {
					count := new(counted)
					url := serve(t, server.handler, count)
					talk(t, dial(t, url))
					small := count.Load() < 4<<20 // of more than 16 MiB
					if want := server.compress && compression.Compression != nil; small != want {
						t.Errorf("%d bytes, compressed: %v, want %v", count.Load(), small, want)
					}
					obey(t, dial(t, url))
				})
			}
		}
	}
}

// TestUpgrade: our server that blocks, with the clients of each library as judges.
func TestUpgrade(t *testing.T) {
	clients := libraryClients()
	clients["gobwas"], clients["gobwas deflate"] = dialGobwas(false), dialGobwas(true)
	for server, compression := range map[string]*wsconn.Compression{
		"plain": nil, "deflate": {},
		"deflate takeover": {ServerTakeover: true, ClientTakeover: true, ServerWindowBits: 11, ClientWindowBits: 9},
	} {
		for name, dial := range clients {
			t.Run(name+" with a server that is "+server, func(t *testing.T) {
				url := serve(t, wsconnServer(compression), new(counted))
				talk(t, dial(t, url))
				obey(t, dial(t, url))
			})
		}
	}
}

// obey has the server ping, send fragments, and close the connection.
func obey(t *testing.T, c client) {
	for _, test := range []struct{ say, want string }{{doPing, ponged}, {doSplit, fragments}} {
		if err := c.send(true, []byte(test.say)); err != nil {
			t.Fatal(err)
		}
		if text, b, err := c.receive(); err != nil || !text || string(b) != test.want {
			t.Fatalf("%s: %d bytes, text %v, %v", test.say, len(b), text, err)
		}
	}
	if err := c.send(true, []byte(doClose)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.receive(); closeCode(err) != 4001 {
		t.Errorf("closed by the server: %v", err)
	}
}

// counted is how many bytes a server has sent and received.
type counted struct{ atomic.Int64 }

type countedListener struct {
	net.Listener
	*counted
}

type countedConn struct {
	net.Conn
	*counted
}

func (l countedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return countedConn{nc, l.counted}, err
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.Add(int64(n))
	return n, err
}

// serve runs a handler and counts.
func serve(t *testing.T, h http.Handler, c *counted) (url string) {
	s := httptest.NewUnstartedServer(h)
	s.Listener = countedListener{s.Listener, c}
	s.Start()
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

type wsconnClient struct {
	*wsconn.Conn
	ctx context.Context
}

func dialWsconn(compression *wsconn.Compression) func(*testing.T, string) client {
	config := clientConfig()
	return func(t *testing.T, url string) client {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		c, err := wsconn.Dial(ctx, url, &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 16 << 20},
			Compression: compression, Subprotocols: []string{"other", subprotocol}, TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Underlying().Close() })
		if c.Subprotocol() != subprotocol {
			t.Errorf("subprotocol %q", c.Subprotocol())
		}
		return wsconnClient{c, ctx}
	}
}

func opcode(text bool) wsproto.Opcode {
	if text {
		return wsproto.Text
	}
	return wsproto.Binary
}

func (c wsconnClient) send(text bool, b []byte) error { return c.Write(c.ctx, opcode(text), b) }

func (c wsconnClient) receive() (bool, []byte, error) {
	op, b, err := c.Read(c.ctx)
	return op == wsproto.Text, b, err
}

func (c wsconnClient) ping() error {
	read := make(chan error, 1)
	go func() {
		_, _, err := c.Read(c.ctx)
		read <- err
	}()
	if err := c.Ping(c.ctx); err != nil {
		return err
	}
	return errors.Join(c.send(true, []byte("end")), <-read)
}

func (c wsconnClient) close(code int) (int, error) {
	if err := c.Close(wsconn.CloseCode(code), "bye"); err != nil {
		return 0, err
	}
	_, _, err := c.Read(c.ctx)
	return closeCode(err), nil
}

// loops is an engine for clients.
func loops(t *testing.T) *engine.Engine {
	e, err := engine.New(engine.Config{Loops: 1, MaxOutbound: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil && !errors.Is(err, engine.ErrClosed) { // connections were cut
			t.Error(err)
		}
	})
	return e
}

// loopClient is a websocket.Client's connection.
type loopClient struct {
	websocket.Handle
	messages chan loopMessage
	pongs    chan string
	ended    chan error
	ctx      context.Context
}

type loopMessage struct {
	text bool
	b    []byte
}

func dialLoop(e *engine.Engine, compression *websocket.Compression) func(*testing.T, string) client {
	layer, err := tlslayer.New(tlslayer.Config{TLS: clientConfig()})
	if err != nil {
		panic(err)
	}
	return dialLoopTLS(e, compression, layer)
}

// dialLoopTLS has a layer for URLs with wss.
func dialLoopTLS(e *engine.Engine, compression *websocket.Compression,
	layer *tlslayer.Layer) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		c := loopClient{messages: make(chan loopMessage, 10), pongs: make(chan string, 10), ended: make(chan error, 1),
			ctx: ctx}
		client := websocket.Client{
			Message: func(_ *websocket.Conn, op websocket.Opcode, data []byte) {
				c.messages <- loopMessage{op == wsproto.Text, append([]byte(nil), data...)}
			},
			Pong:  func(_ *websocket.Conn, data []byte) { c.pongs <- string(data) },
			Close: func(_ *websocket.Conn, err error) { c.ended <- err },

			Compression: compression, Limits: websocket.Limits{MaxMessage: 16 << 20},
			Subprotocols: []string{"other", subprotocol},

			TLS: layer.Client,
		}
		opened := make(chan error, 1)
		err := client.Dial(ctx, e, url, func(conn *websocket.Conn, err error) {
			if err == nil {
				c.Handle = conn.Handle()
				if conn.Subprotocol() != subprotocol {
					err = fmt.Errorf("subprotocol %q", conn.Subprotocol())
				}
			}
			opened <- err
		})
		if err := errors.Join(err, <-opened); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Handle.Post(func(c *websocket.Conn) { c.EngineConn().Abort() }) })
		return c
	}
}

func (c loopClient) send(text bool, b []byte) error { return c.Send(opcode(text), b) }

func (c loopClient) receive() (bool, []byte, error) {
	select {
	case m := <-c.messages:
		return m.text, m.b, nil
	case err := <-c.ended:
		return false, nil, err
	case <-c.ctx.Done():
		return false, nil, c.ctx.Err()
	}
}

func (c loopClient) ping() error {
	c.Post(func(c *websocket.Conn) { c.Ping([]byte("are you there?")) })
	select {
	case s := <-c.pongs:
		if s != "are you there?" {
			return fmt.Errorf("pong %q", s)
		}
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (c loopClient) close(code int) (int, error) {
	if err := c.Handle.Close(websocket.CloseCode(code), "bye"); err != nil {
		return 0, err
	}
	select {
	case err := <-c.ended:
		return closeCode(err), nil
	case <-c.ctx.Done():
		return 0, c.ctx.Err()
	}
}

// gobwasClient is a client of gobwas.
type gobwasClient struct{ *gobwasConn }

func dialGobwas(compress bool) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		var d ws.Dialer
		if compress {
			d.Extensions = []httphead.Option{wsflate.DefaultParameters.Option()}
		}
		nc, early, h, err := d.Dial(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if early == nil {
			early = bufio.NewReader(strings.NewReader(""))
		}
		return gobwasClient{&gobwasConn{Conn: nc, in: io.MultiReader(early, nc), state: ws.StateClientSide,
			compress: len(h.Extensions) > 0}}
	}
}

func (c gobwasClient) send(text bool, b []byte) error {
	return c.message(ws.OpCode(opcode(text)), b, 1+len(b)%3)
}

func (c gobwasClient) receive() (bool, []byte, error) {
	op, b, err := c.next()
	return op == ws.OpText, b, err
}

func (c gobwasClient) ping() error {
	c.frame(ws.NewPingFrame([]byte("are you there?")))
	if op, b, err := c.next(); err != nil || op != ws.OpPong || string(b) != "are you there?" {
		return fmt.Errorf("%v %q, %w", op, b, err)
	}
	return nil
}

func (c gobwasClient) close(code int) (int, error) {
	c.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "bye")))
	_, _, err := c.next()
	return closeCode(err), nil
}
