package servers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proctest"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

const patience = 30 * time.Second

// folder is where the servers are built.
var folder string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "servers"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		return m.Run()
	}())
}

// each runs a test for each server for which can is true.
func each(t *testing.T, can func(*Server) bool, f func(t *testing.T, s *Server)) {
	for _, s := range All() {
		if !can(s) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			if err := s.Build(folder); errors.Is(err, ErrMissing) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if s.Version == "" && s.Role != Ours { // the version of ours comes from git
				t.Error("no version")
			}
			f(t, s)
		})
	}
}

// start starts a server and returns its address, which is in the first line that it prints.
func start(t *testing.T, s *Server, w Wanted) string {
	t.Helper()
	address, err := proctest.Start(t, s.Command(0, w)...)
	switch {
	case err != nil && s.Name == "floor-uring":
		t.Skip("the kernel does not permit io_uring")
	case err != nil:
		t.Fatal(err)
	}
	return address
}

// client is a client of either protocol.
type client interface {
	send(text bool, b []byte) error
	// receive returns the next message. With TCP, a message has n bytes.
	receive(n int) (text bool, b []byte, err error)
	network() *counted
}

func dial(t *testing.T, s *Server, address, path string) client {
	t.Helper()
	if s.Protocol == "tcp" {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { c.Close() })
		return &tcpClient{counted{Conn: c}, make([]byte, 1<<20)}
	}
	return dialWS(t, address, path, nil, nil)
}

// counted is a connection that counts bytes.
type counted struct {
	net.Conn
	received, sent atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func (c *counted) network() *counted { return c }

type tcpClient struct {
	counted
	buf []byte
}

func (c *tcpClient) send(_ bool, b []byte) error { _, err := c.Write(b); return err }

func (c *tcpClient) receive(n int) (bool, []byte, error) {
	_, err := io.ReadFull(c, c.buf[:n])
	return false, c.buf[:n], err
}

type wsClient struct {
	conn *wsconn.Conn
	ctx  context.Context
	counted
}

// dialWS opens a WebSocket, over TLS if secure is not nil.
func dialWS(t *testing.T, address, path string, compression *wsconn.Compression, secure *tls.Config) *wsClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c := &wsClient{ctx: ctx}
	var err error
	c.conn, err = wsconn.Dial(ctx, "ws://"+address+path, &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 4 << 20},
		Compression: compression,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil && secure != nil {
				nc = tls.Client(nc, secure)
			}
			c.Conn = nc
			return &c.counted, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

func (c *wsClient) send(text bool, b []byte) error {
	op := wsconn.Binary
	if text {
		op = wsconn.Text
	}
	return c.conn.Write(c.ctx, op, b)
}

func (c *wsClient) receive(int) (bool, []byte, error) {
	op, b, err := c.conn.Read(c.ctx)
	return op == wsconn.Text, b, err
}

// TestEcho checks that messages of all sizes come back in order and unchanged, while many are in
// flight.
func TestEcho(t *testing.T) {
	each(t, func(*Server) bool { return true }, func(t *testing.T, s *Server) {
		c := dial(t, s, start(t, s, Wanted{}), "/")
		atOnce := make(chan struct{})
		close(atOnce)
		for _, size := range []int{0, 1, 32, 125, 126, 4090, 4096, 65535, 65536, 1 << 20} {
			if size < 16 && s.NoEmpty { // later messages are shorter: see exchange
				continue
			}
			exchange(t, s, c, 16, size, atOnce)
		}
	})
}

// TestEchoToSlowReader checks that nothing is lost for a client that does not receive until the
// server takes nothing more.
func TestEchoToSlowReader(t *testing.T) {
	each(t, func(*Server) bool { return true }, func(t *testing.T, s *Server) {
		c := dial(t, s, start(t, s, Wanted{}), "/")
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			for last := int64(-1); t.Context().Err() == nil; time.Sleep(100 * time.Millisecond) {
				now := c.network().sent.Load()
				if now == last {
					return
				}
				last = now
			}
		}()
		exchange(t, s, c, 64, 1<<20, stuck)
	})
}

// exchange sends messages, of which every second one is small, and receives them. It begins to
// receive when the channel begin is closed or all is sent.
func exchange(t *testing.T, s *Server, c client, count, size int, begin <-chan struct{}) {
	t.Helper()
	all := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
	message := func(i int) (text bool, b []byte) {
		n := size
		if i%2 == 1 {
			n = min(size, 100)
		}
		return i%4 < 2, all[i:max(i, n)]
	}
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < count && err == nil; i++ {
			err = c.send(message(i))
		}
		sent <- err
	}()
	select {
	case <-begin:
	case err := <-sent:
		sent <- err
	}
	for i := range count {
		wantText, want := message(i)
		text, got, err := c.receive(len(want))
		if err != nil || !bytes.Equal(got, want) || s.Protocol == "ws" && text != wantText {
			t.Fatalf("message %d of %d bytes: %d bytes, text %v, %v", i, len(want), len(got), text, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestBroadcast checks that a broadcast goes to all connections, once.
func TestBroadcast(t *testing.T) {
	each(t, func(s *Server) bool { return s.Broadcast }, func(t *testing.T, s *Server) {
		const receivers, width = 10, 8
		address := start(t, s, Wanted{Broadcast: true})
		path := cmp.Or(s.BroadcastPath, "/")
		message := func(who string) []byte { return fmt.Appendf(nil, "%*s", width, who) }
		// until receives messages up to the wanted one, and counts how often each arrived.
		until := func(c client, want []byte) map[string]int {
			t.Helper()
			got := make(map[string]int)
			for {
				text, b, err := c.receive(width)
				if err != nil {
					t.Fatalf("waiting for %q: %v", want, err)
				}
				got[fmt.Sprintf("%s, text %v", b, text)]++
				if bytes.Equal(b, want) {
					return got
				}
			}
		}
		clients := []client{dial(t, s, address, path)}
		for i := range receivers {
			c := dial(t, s, address, "/")
			hello := message(fmt.Sprint(i))
			c.send(false, hello) // it comes back, to all or not, so the server knows c then
			until(c, hello)
			clients = append(clients, c)
		}
		first, second, end := message("first"), message("second"), message("end")
		clients[0].send(true, first)
		clients[0].send(false, second)
		clients[0].send(false, end)
		for i, c := range clients {
			got := until(c, end)
			a, b := fmt.Sprintf("%s, text %v", first, s.Protocol == "ws"), fmt.Sprintf("%s, text false", second)
			if got[a] != 1 || got[b] != 1 {
				t.Errorf("receiver %d got %v, want %q and %q once", i, got, a, b)
			}
		}
	})
}

// TestCompress checks that compression is negotiated and used both ways, but only if asked for.
func TestCompress(t *testing.T) {
	each(t, func(s *Server) bool { return s.Compress }, func(t *testing.T, s *Server) {
		for _, on := range []bool{true, false} {
			address := start(t, s, Wanted{Compress: on})
			if got := extensions(t, address); strings.HasPrefix(got, "permessage-deflate") != on {
				t.Errorf("-compress is %v, the server agreed on %q", on, got)
			}
			c := dialWS(t, address, "/", &wsconn.Compression{}, nil)
			for i, size := range []int{0, 10, 5000, 200_000, 1 << 20} {
				if size == 0 && s.NoEmpty {
					continue
				}
				want := bytes.Repeat([]byte{byte('a' + i)}, size)
				before := c.received.Load()
				if err := c.send(true, want); err != nil {
					t.Fatal(err)
				}
				text, got, err := c.receive(size)
				if err != nil || !text || !bytes.Equal(got, want) {
					t.Fatalf("of %d bytes %d came back, text %v, %v", size, len(got), text, err)
				}
				if n := c.received.Load() - before; size > 1000 && (n < int64(size)/10) != on {
					t.Errorf("-compress is %v, %d bytes came back as %d", on, size, n)
				}
			}
		}
	})
}

// TestTLS checks that messages of all sizes come back over TLS, of the version and with the cipher
// that docs/benchmarks/peers.md names.
func TestTLS(t *testing.T) {
	each(t, func(s *Server) bool { return s.TLS }, func(t *testing.T, s *Server) {
		address := start(t, s, Wanted{TLS: true})
		c := dialWS(t, address, "/", nil, &tls.Config{InsecureSkipVerify: true})
		state := c.Conn.(*tls.Conn).ConnectionState()
		cipher := tls.TLS_AES_128_GCM_SHA256
		if strings.HasPrefix(s.Name, "nbio") { // it does not see that the processor has AES
			cipher = tls.TLS_CHACHA20_POLY1305_SHA256
		}
		if state.Version != tls.VersionTLS13 || state.CipherSuite != cipher {
			t.Errorf("version %x, cipher %x", state.Version, state.CipherSuite)
		}
		atOnce := make(chan struct{})
		close(atOnce)
		for _, size := range []int{32, 4096, 65536, 1 << 20} {
			exchange(t, s, c, 16, size, atOnce)
		}
	})
}

// extensions returns what the server accepts when it is offered compression without context
// takeover.
func extensions(t *testing.T, address string) string {
	t.Helper()
	r, err := http.NewRequest("GET", "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":        {"dGhlIHNhbXBsZSBub25jZQ=="},
		"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return resp.Header.Get("Sec-WebSocket-Extensions")
}
