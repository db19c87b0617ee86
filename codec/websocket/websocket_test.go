package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

const patience = 30 * time.Second

// start runs a server until the test ends, and returns its address.
func start(t testing.TB, s *websocket.Server, c engine.Config) (*engine.Engine, string) {
	t.Helper()
	eng, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	receive(t, "Run", eng.Started())
	t.Cleanup(func() {
		eng.Close()
		if err := <-done; err != nil && !errors.Is(err, engine.ErrClosed) { // connections were cut
			t.Errorf("Run: %v", err)
		}
	})
	return eng, ln.String()
}

func echo(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) }

// client is a connection by gobwas.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	c, r, _, err := ws.Dial(context.Background(), "ws://"+address+"/")
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		r = bufio.NewReader(c)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return &client{c, r}
}

func (c *client) Read(b []byte) (int, error) { return c.r.Read(b) }

func (c *client) ask(t testing.TB, op ws.OpCode, text string) {
	t.Helper()
	if err := wsutil.WriteClientMessage(c, op, []byte(text)); err != nil {
		t.Fatal(err)
	}
	c.expect(t, op, text)
}

func (c *client) expect(t testing.TB, op ws.OpCode, text string) {
	t.Helper()
	f, err := readFrame(c.r)
	if err != nil || f.Header.OpCode != op || string(f.Payload) != text {
		t.Fatalf("got opcode %x of %d bytes %.40q, %v; want %x of %d bytes", f.Header.OpCode, len(f.Payload), f.Payload,
			err, op, len(text))
	}
}

// closeCode reads on to the Close frame.
func (c *client) closeCode(t testing.TB) (ws.StatusCode, string) {
	t.Helper()
	for {
		f, err := readFrame(c.r)
		if err != nil {
			t.Fatalf("no Close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpClose {
			return ws.ParseCloseFrameData(f.Payload)
		}
	}
}

func receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
		panic("unreachable")
	}
}

func TestConnIs112Bytes(t *testing.T) {
	if n := unsafe.Sizeof(websocket.Conn{}); n > 112 {
		t.Fatalf("%d bytes, beyond the size class that the memory promise is built on", n)
	}
	if n := unsafe.Sizeof(websocket.Handle{}); n != unsafe.Sizeof(uintptr(0)) {
		t.Fatalf("a Handle is %d bytes", n)
	}
}

func TestEchoOfEverySize(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo, Limits: websocket.Limits{MaxMessage: 4 << 20}},
		engine.Config{Loops: 2})
	c := dial(t, address)
	for _, n := range []int{0, 1, 125, 126, 127, 4096, 16383, 16384, 16385, 65535, 65536, 1 << 20, 3 << 20} {
		c.ask(t, ws.OpText, strings.Repeat("é", n/2)+strings.Repeat("x", n%2))
		c.ask(t, ws.OpBinary, strings.Repeat("\xff", n))
	}
}

func TestPingAndPong(t *testing.T) {
	heard := make(chan string, 2)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			if c.Ping(make([]byte, 126)) == nil {
				t.Error("a ping of 126 bytes is sent")
			}
			c.Ping([]byte("marco"))
		},
		Ping: func(_ *websocket.Conn, b []byte) { heard <- "ping " + string(b) },
		Pong: func(_ *websocket.Conn, b []byte) { heard <- "pong " + string(b) },
	}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.expect(t, ws.OpPing, "marco")
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPongFrame([]byte("polo"))))
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame([]byte("hello"))))
	c.expect(t, ws.OpPong, "hello")
	if a, b := receive(t, "pong", heard), receive(t, "ping", heard); a != "pong polo" || b != "ping hello" {
		t.Fatal(a, b)
	}
}

// TestDrainedTellsWhenToGoOn: a producer stops at OverHighWater, and goes on when the
// peer has caught up.
func TestDrainedTellsWhenToGoOn(t *testing.T) {
	const total, size = 200, 100_000
	stops := make(chan int, total)
	sent := 0
	produce := func(c *websocket.Conn) {
		for sent < total {
			sent++
			pressure, err := c.Send(websocket.Binary, make([]byte, size))
			if err != nil {
				t.Errorf("message %d: %v", sent, err)
			}
			if pressure == engine.OverHighWater {
				stops <- sent
				return
			}
		}
		close(stops)
	}
	eng, address := start(t, &websocket.Server{Open: produce, Drained: produce},
		engine.Config{Loops: 1, HighWater: 1 << 20})
	c := dial(t, address)
	if n := receive(t, "pressure", stops); n == total {
		t.Fatal("there is no pressure: the test tests nothing")
	}
	if s, err := eng.Stats(t.Context()); err != nil || s.Buffered > 2<<20 {
		t.Errorf("%d bytes are queued, %v", s.Buffered, err)
	}
	for range total {
		c.expect(t, ws.OpBinary, string(make([]byte, size)))
	}
	for range stops { // until all was sent
	}
}

func TestHandleAndBroadcast(t *testing.T) {
	handles := make(chan websocket.Handle, 10)
	_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) { handles <- c.Handle() }},
		engine.Config{Loops: 3})
	var clients []*client
	var all []websocket.Handle
	for range 10 {
		clients = append(clients, dial(t, address))
		all = append(all, receive(t, "handle", handles))
	}
	websocket.Broadcast(websocket.Prepare(websocket.Text, []byte("to all")),
		slices.Values(append(all, websocket.Handle{})), engine.SlowWait)
	large := websocket.Prepare(websocket.Binary, make([]byte, 100_000))
	websocket.Broadcast(large, slices.Values(all), engine.SlowWait)
	for i, c := range clients {
		c.expect(t, ws.OpText, "to all")
		c.expect(t, ws.OpBinary, string(make([]byte, 100_000)))
		h := all[i]
		h.Send(websocket.Text, []byte("first"))
		h.Post(func(c *websocket.Conn) { c.Send(websocket.Text, []byte("second")) })
		h.Close(4004, "reason")
		h.Send(websocket.Text, []byte("never"))
		c.expect(t, ws.OpText, "first")
		c.expect(t, ws.OpText, "second")
		if code, reason := c.closeCode(t); code != 4004 || reason != "reason" {
			t.Fatal(code, reason)
		}
	}
	if err := (websocket.Handle{}).Send(websocket.Text, nil); !errors.Is(err, engine.ErrClosed) {
		t.Fatal(err)
	}
}

func TestEchoDoesNotAllocate(t *testing.T) {
	_, address := start(t, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	for _, op := range []wsproto.Opcode{websocket.Text, websocket.Binary} {
		for _, size := range []int{32, 1000, 20_000} {
			c := dial(t, address)
			msg := wsproto.AppendMasked(nil, op, 0x12345678, bytes.Repeat([]byte("m"), size))
			got := make([]byte, len(wsproto.AppendFrame(nil, op, make([]byte, size))))
			if n := testing.AllocsPerRun(1000, func() {
				c.Conn.Write(msg)
				io.ReadFull(c.Conn, got)
			}); n != 0 {
				t.Errorf("%v of %d bytes: %v allocations per message", op, size, n)
			}
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	_, address := start(b, &websocket.Server{Message: echo}, engine.Config{Loops: 1})
	c := dial(b, address)
	c.SetDeadline(time.Time{})
	msg := wsproto.AppendMasked(nil, wsproto.Text, 0x12345678, bytes.Repeat([]byte("m"), 32))
	got := make([]byte, 34)
	b.ReportAllocs()
	for b.Loop() {
		c.Conn.Write(msg)
		io.ReadFull(c.Conn, got)
	}
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}
