package wsconn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

const patience = 20 * time.Second

// deadline is a context that ends a test that hangs.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// echo answers messages until the connection ends, and tells why.
func echo(ctx context.Context, c *wsconn.Conn) error {
	for {
		op, data, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.Write(ctx, op, data); err != nil {
			return err
		}
	}
}

// sample is a text, or bytes that are none, of about n bytes.
func sample(op wsconn.Opcode, n int) []byte {
	if op == wsconn.Text {
		return bytes.Repeat([]byte("häßlich "), n/10+1)[:n-n%10]
	}
	b := bytes.Repeat([]byte{0xFF, 0, 0x80, 1, 2}, n/5+1)[:n]
	return b
}

// carriers are what a Conn stands on.
func carriers(t *testing.T) map[string]func() (a, b net.Conn) {
	tcp := func() (net.Conn, net.Conn) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		a, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return map[string]func() (a, b net.Conn){
		"net.Pipe": net.Pipe,
		"NetPipe":  wstest.NetPipe,
		"TCP":      tcp,
		"TLS": func() (net.Conn, net.Conn) {
			a, b := tcp()
			return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, s.TLS)
		},
	}
}

// connect opens a WebSocket between two ends.
func connect(t testing.TB, a, b net.Conn, config *wsconn.Config) (client, server *wsconn.Conn) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		var err error
		server, err = wsconn.Server(deadline(t), b, config)
		failed <- err
	}()
	client, err := wsconn.Client(deadline(t), a, "ws://example.com/", config)
	if err := errors.Join(err, <-failed); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// TestEcho: messages of all sizes and kinds, over all that a Conn stands on, plain and compressed, and the closing handshake.
func TestEcho(t *testing.T) {
	configs := map[string]*wsconn.Config{
		"plain":    {},
		"deflate":  {Compression: &wsconn.Compression{}},
		"takeover": {Compression: &wsconn.Compression{ServerTakeover: true, ClientTakeover: true, ServerWindowBits: 9, Level: 6, Threshold: 1}},
	}
	for carrier, ends := range carriers(t) {
		for name, config := range configs {
			t.Run(carrier+" "+name, func(t *testing.T) {
				config.MaxMessage, config.Subprotocols = 4<<20, []string{"chat"}
				a, b := ends()
				client, server := connect(t, a, b, config)
				ended := make(chan error, 1)
				go func() { ended <- echo(deadline(t), server) }()
				converse(t, client)
				if client.Subprotocol() != "chat" || server.Subprotocol() != "chat" {
					t.Errorf("subprotocols %q and %q", client.Subprotocol(), server.Subprotocol())
				}
				if err := client.Close(4000, "enough"); err != nil {
					t.Errorf("Close: %v", err)
				}
				var closed *wsconn.CloseError
				if err := <-ended; !errors.As(err, &closed) || *closed != (wsconn.CloseError{Code: 4000, Reason: "enough"}) {
					t.Errorf("server ended with %v", err)
				}
			})
		}
	}
}

// converse has an echo server send back messages of all sizes.
func converse(t *testing.T, c *wsconn.Conn) {
	ctx := deadline(t)
	for _, n := range []int{0, 1, 125, 126, 127, 255, 256, 4090, 4096, 5000, 16370, 16384, 65535, 65536, 200_000, 1 << 20} {
		for _, op := range []wsconn.Opcode{wsconn.Text, wsconn.Binary} {
			want := sample(op, n)
			sent := make(chan error, 1)
			go func() { sent <- c.Write(ctx, op, want) }()
			gotOp, got, err := c.Read(ctx)
			if err != nil || gotOp != op || !bytes.Equal(got, want) {
				t.Fatalf("%v of %d bytes came back as %v of %d, %v", op, len(want), gotOp, len(got), err)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestReadGoesOnAfterItsContext: a Read that was given up loses nothing, wherever in a message it stood.
func TestReadGoesOnAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		b := wstest.Frame{Opcode: wsproto.Text, Payload: strings.Repeat("0123456789", 20)}.Append(nil, wsproto.Client)
		cause := errors.New("the user's reason")
		for i := range b {
			p.SendRaw(b[i : i+1])
			if i == len(b)-1 {
				break
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			if _, _, err := c.Read(ctx); err != cause {
				t.Fatalf("after byte %d: %v", i, err)
			}
		}
		if _, data, err := c.Read(t.Context()); err != nil || len(data) != 200 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := c.Read(ended); err != context.Canceled {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := c.Write(ended, wsconn.Text, nil); err != context.Canceled {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := c.Write(t.Context(), wsconn.Text, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		p.Expect(wsproto.Text, "still here")
	})
}

// TestReadGivenUp, over all that a Conn stands on.
func TestReadGivenUp(t *testing.T) {
	for carrier, ends := range carriers(t) {
		a, b := ends()
		client, server := connect(t, a, b, nil)
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, _, err := client.Read(ctx); err != context.Canceled {
				t.Fatalf("%s: %v", carrier, err)
			}
			go server.Write(deadline(t), wsconn.Text, fmt.Append(nil, i))
			if _, data, err := client.Read(deadline(t)); err != nil || string(data) != fmt.Sprint(i) {
				t.Fatalf("%s: afterwards %q, %v", carrier, data, err)
			}
		}
	}
}

// TestWriteGivenUpOverTLS: a record that was begun cannot be taken back, so that is the end.
func TestWriteGivenUpOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe()
		c, _ := connect(t, tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, s.TLS), nil)
		var err error
		for range 100 { // until the peer, which does not read, keeps a Write waiting
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = c.Write(ctx, wsconn.Binary, make([]byte, 1000))
			cancel()
			if err != nil {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded {
			t.Errorf("given up: %v", err)
		}
		if again := c.Write(t.Context(), wsconn.Text, nil); again != err {
			t.Errorf("afterwards: %v", again)
		}
	})
}

// TestWriteAndItsContext: a message of which nothing was sent does no harm; one that was sent in part is the end.
func TestWriteAndItsContext(t *testing.T) {
	for _, test := range []struct {
		role   string
		ends   func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer)
		header int
	}{{role: "server", ends: wstest.Server, header: 4}, {role: "client", ends: wstest.Client, header: 8}} {
		synctest.Test(t, func(t *testing.T) {
			c, p := test.ends(t, nil)
			within := func(n int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return c.Write(ctx, wsconn.Binary, make([]byte, n))
			}
			if err := within(64<<10 - test.header); err != nil { // it fills the pipe
				t.Fatal(err)
			}
			if err := within(10); err != context.DeadlineExceeded {
				t.Fatalf("%s: nothing fits: %v", test.role, err)
			}
			p.Message()
			if err := within(10); err != nil {
				t.Fatalf("%s: afterwards: %v", test.role, err)
			}
			if err := within(1 << 20); !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded {
				t.Fatalf("%s: half of it fits: %v", test.role, err)
			}
			if _, _, err := c.Read(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Read of a broken connection: %v", test.role, err)
			}
			if err := within(10); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Write to a broken connection: %v", test.role, err)
			}
		})
	}
}

// TestManyWriters: messages of several goroutines do not mix.
func TestManyWriters(t *testing.T) {
	const writers, each = 8, 50
	ctx := deadline(t)
	client, server := wstest.Pipe(t, &wsconn.Config{Compression: &wsconn.Compression{ClientTakeover: true}})
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range each {
				data := bytes.Repeat([]byte{byte(w)}, rng.IntN(40_000))
				if err := client.Write(ctx, wsconn.Binary, data); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range writers * each {
		_, data, err := server.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 && bytes.Count(data, data[:1]) != len(data) {
			t.Fatal("a message is mixed with another one")
		}
	}
	all.Wait()
}

// TestWhatIsCompressed: messages from the threshold on, and not by WritePlain.
func TestWhatIsCompressed(t *testing.T) {
	c, p := wstest.Client(t, &wsconn.Config{Compression: &wsconn.Compression{Threshold: 100}})
	text := strings.Repeat("a", 100)
	for _, test := range []struct {
		write func(context.Context, wsconn.Opcode, []byte) error
		text  string
		rsv   byte
	}{{c.Write, text, wsproto.RSV1}, {c.Write, text[1:], 0}, {c.WritePlain, text, 0}} {
		if err := test.write(deadline(t), wsconn.Text, []byte(test.text)); err != nil {
			t.Fatal(err)
		}
		if f := p.Frame(); f.RSV != test.rsv {
			t.Errorf("%v, want RSV %d", f, test.rsv)
		}
	}
}

// TestContextTakeover: what was said before makes what resembles it small.
func TestContextTakeover(t *testing.T) {
	text := make([]byte, 300) // noise, which does not get small by itself
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	c, p := wstest.Client(t, &wsconn.Config{Compression: &wsconn.Compression{ClientTakeover: true, Threshold: 1}})
	for i := range 3 {
		message := fmt.Appendf(nil, "%s%s %d", text[:200], text[:200], i)
		if err := c.Write(deadline(t), wsconn.Binary, message); err != nil {
			t.Fatal(err)
		}
		if f := p.Frame(); f.RSV != wsproto.RSV1 || i > 0 && len(f.Payload) > 50 {
			t.Errorf("message %d takes %d bytes, RSV %d", i, len(f.Payload), f.RSV)
		}
	}
}

// TestManyLargeMessages: connections that receive at the same time do not get into one another's buffers.
func TestManyLargeMessages(t *testing.T) {
	ends := carriers(t)["TCP"]
	var all sync.WaitGroup
	for k := range 8 {
		a, b := ends()
		client, server := connect(t, a, b, nil)
		all.Go(func() { echo(deadline(t), server) })
		all.Go(func() {
			want := bytes.Repeat([]byte{byte(k)}, 300_000)
			for range 30 {
				go client.Write(deadline(t), wsconn.Binary, want)
				if _, got, err := client.Read(deadline(t)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, not what was sent, %v", len(got), err)
					break
				}
			}
			client.Close(1000, "")
		})
	}
	all.Wait()
}

// TestContextsForgetWhatHasEnded: a context that lives on does not keep a connection that does not.
func TestContextsForgetWhatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := func(use func(*wsconn.Conn)) weak.Pointer[wsconn.Conn] {
		a, b := wstest.NetPipe()
		client, server := connect(t, a, b, nil)
		go server.Read(t.Context())
		use(client)
		client.NetConn().Close()
		client.Read(context.Background())
		return weak.Make(client)
	}
	for name, c := range map[string]weak.Pointer[wsconn.Conn]{
		"Read": ended(func(c *wsconn.Conn) {
			time.AfterFunc(time.Millisecond, func() { c.NetConn().Close() })
			c.Read(ctx)
		}),
		"Write": ended(func(c *wsconn.Conn) { c.Write(ctx, wsconn.Text, nil) }),
	} {
		for end := time.Now().Add(patience); c.Value() != nil; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("a context of %s keeps its connection", name)
			}
		}
	}
}

// TestNoGoroutine belongs to a connection, also while contexts that can end are watched.
func TestNoGoroutine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := runtime.NumGoroutine()
	for range 100 {
		c, p := wstest.Server(t, nil)
		p.Send(wsproto.Text, "a")
		if _, _, err := c.Read(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Write(ctx, wsconn.Text, nil); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+10; runtime.Gosched() { // the handshakes' are ending
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// stubborn is a connection without deadlines.
type stubborn struct{ net.Conn }

func (stubborn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// TestContextWithoutDeadlines: where deadlines are not to be had, the end of a context is that of the connection.
func TestContextWithoutDeadlines(t *testing.T) {
	a, b := wstest.NetPipe()
	c, _ := connect(t, stubborn{a}, b, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, _, err := c.Read(ctx); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestWrongUse of what sends fails without a word to the peer.
func TestWrongUse(t *testing.T) {
	c, p := wstest.Server(t, nil)
	for _, op := range []wsconn.Opcode{wsproto.Continuation, wsproto.Close, wsproto.Ping, 3} {
		if err := c.Write(deadline(t), op, nil); err == nil {
			t.Errorf("a message with opcode %v is sent", op)
		}
	}
	for _, code := range []wsconn.CloseCode{0, 999, 1004, 1006, 1015, 2999, 5000} {
		if err := c.Close(code, ""); err == nil {
			t.Errorf("close code %d is sent", code)
		}
	}
	if err := c.Write(deadline(t), wsconn.Text, []byte("fine")); err != nil {
		t.Fatal(err)
	}
	p.Expect(wsproto.Text, "fine")
}

// TestRulesAreKept: what breaks a rule is answered with its code, told to Read, and the end.
func TestRulesAreKept(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, test := range []struct {
		name   string
		frames []wstest.Frame
		code   wsconn.CloseCode
	}{
		{name: "mask", frames: []wstest.Frame{{Opcode: wsproto.Text, WrongMask: true}}, code: 1002},
		{name: "reserved opcode", frames: []wstest.Frame{{Opcode: 3}}, code: 1002},
		{name: "reserved bit", frames: []wstest.Frame{{Opcode: wsproto.Text, RSV: 2}}, code: 1002},
		{name: "compression that was not agreed on", frames: []wstest.Frame{{Opcode: wsproto.Text, RSV: 4}}, code: 1002},
		{name: "long form of a length", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: "a", LengthBytes: 2}}, code: 1002},
		{name: "no text", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: "\xff"}}, code: 1007},
		{name: "too big", frames: []wstest.Frame{{Opcode: wsproto.Text, Length: 1 << 40}}, code: 1009},
		{name: "too big in sum", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: long[:600], More: true}, {Payload: long[:600]}}, code: 1009},
		{name: "frame too big", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: long[:801]}}, code: 1009},
		{name: "too many fragments", frames: []wstest.Frame{{Opcode: wsproto.Text, More: true}, {More: true}, {More: true}, {}}, code: 1008},
		{name: "wrong close code", frames: []wstest.Frame{wstest.CloseFrame(1006, "")}, code: 1002},
	} {
		for role, ends := range map[string]func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer){"server": wstest.Server, "client": wstest.Client} {
			t.Run(test.name+" to a "+role, func(t *testing.T) {
				c, p := ends(t, &wsconn.Config{MaxMessage: 1000, MaxFrame: 800, MaxFragments: 3, CloseTimeout: -1})
				read := make(chan error, 1)
				go func() {
					_, _, err := c.Read(deadline(t))
					read <- err
				}()
				p.SendFrames(test.frames...)
				p.ExpectClose(test.code)
				p.ExpectEnd()
				p.HangUp()
				err := <-read
				var broken *wsproto.ProtocolError
				var closed *wsconn.CloseError
				if !errors.As(err, &broken) && !errors.As(err, &closed) || broken != nil && broken.Code != test.code {
					t.Errorf("Read: %v", err)
				}
				if _, _, again := c.Read(deadline(t)); again != err {
					t.Errorf("Read once more: %v", again)
				}
				if again := c.Write(deadline(t), wsconn.Text, nil); again != err {
					t.Errorf("Write: %v", again)
				}
				if again := c.Ping(deadline(t)); again != err {
					t.Errorf("Ping: %v", again)
				}
			})
		}
	}
}

// TestRefusalArrives: a peer in the middle of a large message is told why, and not just reset.
func TestRefusalArrives(t *testing.T) {
	ends := carriers(t)
	for _, carrier := range []string{"TCP", "TLS", "NetPipe"} {
		t.Run(carrier, func(t *testing.T) {
			a, b := ends[carrier]()
			read := make(chan error, 1)
			go func() {
				c, err := wsconn.Server(deadline(t), b, nil)
				if err == nil {
					_, _, err = c.Read(deadline(t))
				}
				read <- err
			}()
			p := wstest.Connect(t, a, "ws://example.com/", nil)
			p.SendFrames(wstest.Frame{Opcode: wsproto.Binary, Length: 1 << 40, Payload: string(make([]byte, 8<<20))})
			p.ExpectClose(1009)
			p.ExpectEnd()
			p.HangUp()
			var broken *wsproto.ProtocolError
			if err := <-read; !errors.As(err, &broken) || broken.Code != 1009 {
				t.Error(err)
			}
		})
	}
}

// TestConnectionLost: who hangs up without a closing handshake is told from who does one.
func TestConnectionLost(t *testing.T) {
	c, p := wstest.Client(t, nil)
	p.SendRaw([]byte{0x81, 5, 'h', 'a'})
	p.HangUp()
	if _, _, err := c.Read(deadline(t)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read: %v", err)
	}
	if err := c.Close(1000, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Close: %v", err)
	}
}

// TestUsersDeadline: a deadline that the user sets on the connection below is no end of it.
func TestUsersDeadline(t *testing.T) {
	c, p := wstest.Client(t, nil)
	c.NetConn().SetReadDeadline(time.Unix(1, 0))
	if _, _, err := c.Read(deadline(t)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	c.NetConn().SetReadDeadline(time.Time{})
	p.Send(wsproto.Text, "later")
	if _, data, err := c.Read(deadline(t)); err != nil || string(data) != "later" {
		t.Errorf("%q, %v", data, err)
	}
}

// FuzzSplits: how what a peer sends is cut into pieces makes no difference.
func FuzzSplits(f *testing.F) {
	f.Add(uint64(1), uint16(100), true)
	f.Add(uint64(2), uint16(5000), false)
	f.Add(uint64(3), uint16(65000), true)
	f.Fuzz(func(t *testing.T, seed uint64, size uint16, server bool) {
		ends := wstest.Client
		if server {
			ends = wstest.Server
		}
		c, p := ends(t, &wsconn.Config{Compression: &wsconn.Compression{}})
		rng := rand.New(rand.NewPCG(seed, 0))
		p.Split = func(left int) int {
			if rng.IntN(3) == 0 {
				return left
			}
			return 1 + rng.IntN(1+rng.IntN(min(left, 1+int(size))))
		}
		ended := make(chan error, 1)
		go func() { ended <- echo(deadline(t), c) }()
		for i := range 10 {
			op := wsconn.Opcode(1 + rng.IntN(2))
			text := string(sample(op, rng.IntN(1+int(size))))
			switch k := rng.IntN(len(text) + 1); rng.IntN(3) {
			case 0:
				p.Send(op, text)
			case 1:
				p.SendFrames(wstest.Frame{Opcode: op, Payload: text[:k], More: true}, wstest.Frame{Opcode: wsproto.Ping, Payload: fmt.Sprint(i)},
					wstest.Frame{Payload: text[k:]})
				p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: fmt.Sprint(i)})
			case 2:
				p.SendFrames(p.Compressed(op, text))
			}
			p.Expect(op, text)
		}
		p.Close(1000, "")
		var closed *wsconn.CloseError
		if err := <-ended; !errors.As(err, &closed) {
			t.Error(err)
		}
	})
}
