// Package interop has clients of other WebSocket libraries talk to our servers, and ours to theirs:
// libraries of Go, node and Python, a browser, curl and ab; straight, or behind nginx and HAProxy.
// .ci/run installs the programs. A test whose program cannot be had is skipped, unless
// MYRIAD_INTEROP is "all". It is a module of its own, so that none of them reaches a user's go.sum.
package interop

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"
)

const patience = 10 * time.Second

var folder string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "myriad"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		build := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./examples/wsecho",
			"./examples/chat",
			"./examples/dashboard", "./examples/nethttp", "./examples/arena")
		build.Dir = filepath.Join("..", "..")
		// A module of its own.
		nats := exec.Command("go", "build", "-o", filepath.Join(folder, "chat-nats"), ".")
		nats.Dir = filepath.Join("..", "chat", "nats")
		for _, cmd := range []*exec.Cmd{build, nats} {
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
				return 1
			}
		}
		// Behind the build, which has to trust others.
		if err := makeIdentities(folder); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// process is a running example.
type process struct {
	*exec.Cmd
	address string
}

func run(t *testing.T, name, address string, more ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(folder, name), append([]string{"-addr", address}, more...)...)}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, p.address, _ = strings.Cut(strings.TrimSpace(line), " listening on ")
	p.address, _, _ = strings.Cut(p.address, ",")
	return p
}

// stop ends it in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}

// client is what the libraries have in common.
type client interface {
	send(text bool, b []byte) error
	receive() (text bool, b []byte, err error)
	ping() error                 // and waits for the pong
	close(code int) (int, error) // and waits for the answer's code
}

// TestClients: messages of every size and kind, pings, and a closing handshake, with each library
// as the judge, with compression and without, on connections that the engine has accepted and on
// those that it has taken from net/http.
func TestClients(t *testing.T) {
	servers := map[string]string{
		"plain":           "ws://" + run(t, "wsecho", "127.0.0.1:0").address + "/",
		"deflate":         "ws://" + run(t, "wsecho", "127.0.0.1:0", "-compress").address + "/",
		"behind net/http": "ws://" + run(t, "nethttp", "127.0.0.1:0").address + "/echo/",
	}
	for server, url := range servers {
		for name, dial := range libraryClients() {
			t.Run(name+" with a server that is "+server, func(t *testing.T) {
				talk(t, dial(t, url))
			})
		}
	}
}

// libraryClients are those of each library, with the compression that it can do.
func libraryClients() map[string]func(*testing.T, string) client {
	return map[string]func(*testing.T, string) client{
		"gorilla": dialGorilla(false), "coder": dialCoder(coder.CompressionDisabled),
		"gws":                    dialGWS(gws.PermessageDeflate{}),
		"gorilla deflate":        dialGorilla(true),
		"coder deflate":          dialCoder(coder.CompressionNoContextTakeover),
		"coder deflate takeover": dialCoder(coder.CompressionContextTakeover),
		"gws deflate":            dialGWS(gws.PermessageDeflate{Enabled: true, Threshold: 1}),
		"gws deflate takeover": dialGWS(gws.PermessageDeflate{Enabled: true, Threshold: 1, ServerContextTakeover: true,
			ClientContextTakeover: true, ServerMaxWindowBits: 10, ClientMaxWindowBits: 11}),
	}
}

func talk(t *testing.T, c client) {
	for _, n := range []int{0, 1, 125, 126, 1000, 1004, 65535, 65536, 4 << 20} {
		for _, text := range []bool{true, false} {
			want := bytes.Repeat([]byte("ä\x00x"), n/4+1)[:n&^3]
			if !text {
				want = bytes.Repeat([]byte{0xFF, 0, 0x80}, n/3+1)[:n]
			}
			sent := make(chan error, 1)
			go func() { sent <- c.send(text, bytes.Clone(want)) }()
			gotText, got, err := c.receive()
			if err != nil || gotText != text || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, text %v: %d bytes, text %v, %v", len(want), text, len(got), gotText, err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.ping(); err != nil {
		t.Errorf("ping: %v", err)
	}
	if code, err := c.close(4321); code != 4321 || err != nil {
		t.Errorf("closed with code %d, %v", code, err)
	}
}

type gorillaClient struct{ *gorilla.Conn }

func dialGorilla(compress bool) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		d := gorilla.Dialer{EnableCompression: compress}
		c, _, err := d.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(patience))
		return gorillaClient{c}
	}
}

func (c gorillaClient) send(text bool, b []byte) error {
	if text {
		return c.WriteMessage(gorilla.TextMessage, b)
	}
	return c.WriteMessage(gorilla.BinaryMessage, b)
}

func (c gorillaClient) receive() (bool, []byte, error) {
	kind, b, err := c.ReadMessage()
	return kind == gorilla.TextMessage, b, err
}

func (c gorillaClient) ping() error {
	pong := ""
	c.SetPongHandler(func(s string) error {
		pong = s
		return nil
	})
	c.WriteControl(gorilla.PingMessage, []byte("are you there?"), time.Now().Add(patience))
	c.send(true, []byte("after the ping"))
	if _, b, err := c.receive(); err != nil || string(b) != "after the ping" || pong != "are you there?" {
		return fmt.Errorf("%q, pong %q, %w", b, pong, err)
	}
	return nil
}

func (c gorillaClient) close(code int) (int, error) {
	c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, "bye"), time.Now().Add(patience))
	_, _, err := c.ReadMessage()
	var closed *gorilla.CloseError
	if errors.As(err, &closed) {
		return closed.Code, nil
	}
	return 0, err
}

type coderClient struct {
	*coder.Conn
	ctx context.Context
}

func dialCoder(mode coder.CompressionMode) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{CompressionMode: mode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		c.SetReadLimit(-1)
		return coderClient{c, ctx}
	}
}

func (c coderClient) send(text bool, b []byte) error {
	if text {
		return c.Write(c.ctx, coder.MessageText, b)
	}
	return c.Write(c.ctx, coder.MessageBinary, b)
}

func (c coderClient) receive() (bool, []byte, error) {
	kind, b, err := c.Read(c.ctx)
	return kind == coder.MessageText, b, err
}

func (c coderClient) ping() error {
	read := make(chan error, 1)
	go func() { // Ping needs a reader
		_, _, err := c.Read(c.ctx)
		read <- err
	}()
	if err := c.Ping(c.ctx); err != nil {
		return err
	}
	return errors.Join(c.send(true, []byte("end")), <-read)
}

func (c coderClient) close(code int) (int, error) {
	if err := c.Conn.Close(coder.StatusCode(code), "bye"); err != nil {
		return 0, err
	}
	return code, nil // Close wants the same code back
}

type gwsClient struct {
	*gws.Conn
	*gwsEvents
}

type gwsEvents struct {
	gws.BuiltinEventHandler
	messages chan *gws.Message
	pongs    chan string
	closed   chan error
}

func (e *gwsEvents) OnMessage(_ *gws.Conn, m *gws.Message) { e.messages <- m }

// OnPing answers a ping, since the built-in method forgets the payload.
func (e *gwsEvents) OnPing(c *gws.Conn, payload []byte) { c.WritePong(payload) }

func (e *gwsEvents) OnPong(_ *gws.Conn, payload []byte) { e.pongs <- string(payload) }
func (e *gwsEvents) OnClose(_ *gws.Conn, err error)     { e.closed <- err }

func dialGWS(d gws.PermessageDeflate) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		e := &gwsEvents{messages: make(chan *gws.Message, 1), pongs: make(chan string, 1), closed: make(chan error, 1)}
		c, _, err := gws.NewClient(e, &gws.ClientOption{Addr: url, CheckUtf8Enabled: true, PermessageDeflate: d})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.NetConn().Close() })
		go c.ReadLoop()
		return gwsClient{c, e}
	}
}

func (c gwsClient) send(text bool, b []byte) error {
	if text {
		return c.WriteMessage(gws.OpcodeText, b)
	}
	return c.WriteMessage(gws.OpcodeBinary, b)
}

func (c gwsClient) receive() (bool, []byte, error) {
	select {
	case m := <-c.messages:
		return m.Opcode == gws.OpcodeText, m.Bytes(), nil
	case err := <-c.closed:
		return false, nil, err
	case <-time.After(patience):
		return false, nil, context.DeadlineExceeded
	}
}

func (c gwsClient) ping() error {
	if err := c.WritePing([]byte("are you there?")); err != nil {
		return err
	}
	select {
	case s := <-c.pongs:
		if s != "are you there?" {
			return fmt.Errorf("pong %q", s)
		}
		return nil
	case <-time.After(patience):
		return context.DeadlineExceeded
	}
}

func (c gwsClient) close(code int) (int, error) {
	if err := c.WriteClose(uint16(code), []byte("bye")); err != nil {
		return 0, err
	}
	select {
	case <-c.closed: // gws hangs up without waiting for the answer
		return code, nil
	case <-time.After(patience):
		return 0, context.DeadlineExceeded
	}
}
