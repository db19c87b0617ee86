package wsconn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestEcho: messages of all sizes and kinds, over all that a Conn stands on, plain and compressed,
// and the closing handshake.
func TestEcho(t *testing.T) {
	configs := map[string]*wsconn.Config{
		"plain":   {},
		"deflate": {Compression: &wsconn.Compression{}},
		"takeover": {Compression: &wsconn.Compression{ServerTakeover: true, ClientTakeover: true, ServerWindowBits: 9,
			Level: 6, Threshold: 1}},
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
				want := wsconn.CloseError{Code: 4000, Reason: "enough", SentCode: 4000}
				if err := <-ended; !errors.As(err, &closed) || *closed != want {
					t.Errorf("server ended with %v", err)
				}
			})
		}
	}
}

// converse has an echo server send back messages of all sizes.
func converse(t *testing.T, c *wsconn.Conn) {
	ctx := deadline(t)
	for _, n := range []int{0, 1, 125, 126, 127, 255, 256, 4090, 4096, 5000, 16370, 16384, 65535, 65536, 200_000,
		1 << 20} {
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

// TestManyLargeMessages: connections that receive at the same time do not get into one another's
// buffers.
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
				p.SendFrames(wstest.Frame{Opcode: op, Payload: text[:k], More: true},
					wstest.Frame{Opcode: wsproto.Ping, Payload: fmt.Sprint(i)},
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

// roles are the two ends that a peer can be scripted for.
var roles = map[string]func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer){
	"server": wstest.Server,
	"client": wstest.Client,
}
