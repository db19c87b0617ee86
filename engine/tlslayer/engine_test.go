package tlslayer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// The tests in this file have real connections of package engine.

// run returns an engine that runs until the test ends.
func run(t testing.TB, c engine.Config) *engine.Engine {
	t.Helper()
	e := must(engine.New(c))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-ended; err != nil && !errors.Is(err, engine.ErrClosed) { // that cut connections
			t.Error(err)
		}
	})
	return e
}

// listen serves TLS by accept, and returns the address.
func listen(t testing.TB, e *engine.Engine, c Config, accept func(*engine.Conn) engine.Protocol) string {
	t.Helper()
	l := must(New(c))
	ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0", accept))
	t.Cleanup(func() { // the clients have gone
		deadline := time.Now().Add(10 * time.Second)
		for ; l.Stats().HeldBytes != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("handshakes still hold bytes: %+v", l.Stats())
				return
			}
		}
	})
	return ln.Addr().String()
}

// echoing sends back what it gets. Feed consumes at most piece bytes at a time, if that is not 0.
type echoing struct {
	conn   *engine.Conn
	piece  int
	closed func(error)
}

func (p *echoing) Feed(src []byte) (int, error) {
	if p.piece > 0 && len(src) > p.piece {
		src = src[:p.piece]
		p.conn.Handle().Post(func(c *engine.Conn) { c.ResumeRead() })
		p.conn.PauseRead()
	}
	p.conn.Write(src)
	return len(src), nil
}

func (p *echoing) Closed(err error) {
	if p.closed != nil {
		p.closed(err)
	}
}

func dial(t testing.TB, addr string, c *tls.Config) *tls.Conn {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// TestEcho sends messages of many sizes and reads them back.
func TestEcho(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		client func(*tls.Config)
		piece  int
	}{
		{name: "TLS 1.3"},
		{name: "TLS 1.2", client: tls12},
		{name: "standard", config: Config{StandardRecords: true}},
		{name: "CBC", client: cbc},
		{name: "pieces", piece: 1000},
		{name: "pieces, standard", config: Config{StandardRecords: true}, piece: 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.TLS = testConfig()
			e := run(t, engine.Config{Loops: 2})
			closed := make(chan error, 1)
			addr := listen(t, e, c.config, func(conn *engine.Conn) engine.Protocol {
				if s, ok := ConnectionState(conn); !ok || !s.HandshakeComplete {
					t.Error("no ConnectionState")
				}
				return &echoing{conn: conn, piece: c.piece, closed: func(err error) { closed <- err }}
			})
			nc := dial(t, addr, changed(c.client))
			for _, n := range []int{1, 2, 100, 1000, 16383, 16384, 16385, 65536, 100_000, 1 << 20} {
				go nc.Write(pattern(n)) // an error shows below
				got := make([]byte, n)
				if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, pattern(n)) {
					t.Fatalf("%d bytes: error %v", n, err)
				}
			}
			nc.CloseWrite()
			if n, err := nc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("%d bytes behind the end, error %v", n, err)
			}
			nc.Close()
			if err := <-closed; !errors.Is(err, engine.ErrPeerClosed) {
				t.Errorf("closed: %v", err)
			}
		})
	}
}

// TestEchoByteByByte has a peer whose every byte comes alone, handshake included.
func TestEchoByteByByte(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	raw := must(net.Dial("tcp", addr))
	nc := tls.Client(trickle{raw}, testConfig())
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	message := pattern(300)
	if _, err := nc.Write(message); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, message) {
		t.Errorf("error %v", err)
	}
}

type trickle struct{ net.Conn }

func (c trickle) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestManyEchoes has many connections at a time, which come and go.
func TestManyEchoes(t *testing.T) {
	e := run(t, engine.Config{Loops: 2})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	cc := changed(sessions)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 5 {
				nc, err := tls.Dial("tcp", addr, cc)
				if err != nil {
					t.Error(err)
					return
				}
				message := pattern(1 + 7919*i*j%50000)
				go nc.Write(message)
				got := make([]byte, len(message))
				if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, message) {
					t.Errorf("error %v", err)
				}
				nc.Close()
			}
		})
	}
	wg.Wait()
	waitFor(t, func() bool { return connections(e) == 0 })
}

// TestServerCloses has the server write and close at once: the client reads everything, and then
// the end, not an error.
func TestServerCloses(t *testing.T) {
	message := pattern(3 << 20)
	e := run(t, engine.Config{Loops: 1})
	closed := make(chan error, 1)
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		c.Write(message)
		c.Close()
		return &echoing{conn: c, closed: func(err error) { closed <- err }}
	})
	nc := dial(t, addr, testConfig())
	got, err := io.ReadAll(nc)
	if err != nil || !bytes.Equal(got, message) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	nc.Close()
	if err := <-closed; err != nil {
		t.Errorf("closed: %v", err)
	}
}

// halfClosed goes on after the peer has ended its half.
type halfClosed struct {
	echoing
	last []byte
}

func (p *halfClosed) ReadClosed() {
	p.conn.Write(p.last)
	p.conn.Close()
}

// TestHalfClose has a client end its half, and read a reply after that.
func TestHalfClose(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		closed := make(chan error, 1)
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol {
				return &halfClosed{echoing{conn: c, closed: func(err error) { closed <- err }}, pattern(200_000)}
			})
		nc := dial(t, addr, testConfig())
		nc.Write([]byte("hello"))
		nc.CloseWrite()
		got, err := io.ReadAll(nc)
		if want := append([]byte("hello"), pattern(200_000)...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("standard %t: %d bytes, error %v", standard, len(got), err)
		}
		if err := <-closed; err != nil {
			t.Errorf("standard %t: closed: %v", standard, err)
		}
	}
}

// TestBadRecordEndsConnection has a peer send a record that was changed on the way. What came
// before is answered, then the alert comes.
func TestBadRecordEndsConnection(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	closed := make(chan error, 1)
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		return &echoing{conn: c, closed: func(err error) { closed <- err }}
	})
	raw := &flipping{Conn: must(net.Dial("tcp", addr))}
	nc := tls.Client(raw, testConfig())
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := nc.Write([]byte("good")); err != nil {
		t.Fatal(err)
	}
	raw.on.Store(true)
	nc.Write([]byte("bad!"))
	got, err := io.ReadAll(nc)
	if string(got) != "good" || err == nil || err.Error() != "remote error: tls: bad record MAC" {
		t.Errorf("%q, error %v", got, err)
	}
	nc.Close()
	if err := <-closed; err == nil || err.Error() != "local error: tls: bad record MAC" {
		t.Errorf("closed: %v", err)
	}
}

type flipping struct {
	net.Conn
	on atomic.Bool
}

func (c *flipping) Write(b []byte) (int, error) {
	if c.on.Load() {
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
	}
	return c.Conn.Write(b)
}

// TestNoHandshake has peers that are no TLS clients, or none that suit.
func TestNoHandshake(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	accepted := make(chan bool, 10)
	addr := listen(t, e, Config{TLS: changed(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }),
		HandshakeTimeout: 200 * time.Millisecond}, func(c *engine.Conn) engine.Protocol {
		accepted <- true
		return &echoing{conn: c}
	})
	for _, c := range []struct{ name, send, want string }{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ""},
		{"silent", "", ""},
		{"half a hello", "\x16\x03\x01\x02\x00\x01\x00\x01", ""},
		{"no hello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "\x15\x03\x01\x00\x02\x02\x0a"},
	} {
		raw := must(net.Dial("tcp", addr))
		raw.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(raw, c.send)
		if got, err := io.ReadAll(raw); string(got) != c.want || err != nil {
			t.Errorf("%s: %x, error %v", c.name, got, err)
		}
		raw.Close()
	}
	_, err := tls.Dial("tcp", addr, changed(tls12))
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("error %v", err)
	}
	waitFor(t, func() bool { return connections(e) == 0 })
	if len(accepted) > 0 {
		t.Error("the accept function was called")
	}
}

// TestBroadcastIsSealedForEach sends the same bytes to many connections.
func TestBroadcastIsSealedForEach(t *testing.T) {
	const conns, messages = 30, 50
	e := run(t, engine.Config{Loops: 2})
	handles := make(chan engine.Handle, conns)
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return &echoing{conn: c}
	})
	var clients []*tls.Conn
	var all []engine.Handle
	for range conns {
		clients = append(clients, dial(t, addr, testConfig()))
		all = append(all, <-handles)
	}
	message := pattern(20_000)
	for range messages {
		engine.Broadcast(func(yield func(engine.Handle) bool) {
			for _, h := range all {
				if !yield(h) {
					return
				}
			}
		}, message, engine.SlowWait)
	}
	var wg sync.WaitGroup
	for _, nc := range clients {
		wg.Go(func() {
			got := make([]byte, messages*len(message))
			if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, bytes.Repeat(message, messages)) {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
	if !bytes.Equal(message, pattern(20_000)) {
		t.Error("the shared bytes were changed")
	}
}

// TestSlowReader has a peer read late. Messages that wait can be dropped, and the rest is whole.
func TestSlowReader(t *testing.T) {
	e := run(t, engine.Config{Loops: 1, HighWater: 64 << 10, LowWater: 16 << 10})
	handle := make(chan engine.Handle, 1)
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		handle <- c.Handle()
		return &echoing{conn: c}
	})
	nc := dial(t, addr, testConfig())
	h := <-handle
	const messages, size = 2000, 8 << 10
	done := make(chan bool)
	h.Post(func(c *engine.Conn) {
		for i := range messages {
			b := bytes.Repeat([]byte{byte(i)}, size)
			c.WriteShared(append([]byte(fmt.Sprintf("%08d", i)), b...), engine.SlowDropOldest)
		}
		c.Close()
		close(done)
	})
	<-done
	got, err := io.ReadAll(nc)
	if err != nil || len(got)%(size+8) != 0 {
		t.Fatalf("%d bytes, error %v", len(got), err)
	}
	last := -1
	n := len(got) / (size + 8)
	for ; len(got) > 0; got = got[size+8:] {
		var i int
		fmt.Sscanf(string(got[:8]), "%d", &i)
		if i <= last || !bytes.Equal(got[8:size+8], bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("message %d behind %d, or not whole", i, last)
		}
		last = i
	}
	if last != messages-1 || n == messages {
		t.Errorf("%d messages of %d, the last is %d", n, messages, last)
	}
}

// TestShutdown ends an engine with connections, one of them in its handshake.
func TestShutdown(t *testing.T) {
	e := must(engine.New(engine.Config{Loops: 1}))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	half := must(net.Dial("tcp", addr))
	defer half.Close()
	half.Write(hello(t)[:100])
	nc := dial(t, addr, testConfig())
	nc.Write([]byte("x"))
	nc.Read(make([]byte, 1))
	go func() {
		io.Copy(io.Discard, half)
		half.Close()
	}()
	go e.Shutdown(t.Context())
	if got, err := io.ReadAll(nc); len(got) != 0 || err != nil {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	nc.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestUpdatesThroughEngine has the peer ask for a key update, and wait for ours without data.
func TestUpdatesThroughEngine(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	nc := must(net.Dial("tcp", addr))
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	l := newLayer(Config{TLS: testConfig()})
	s, _, early, err := drive(nc, func(notify func()) *handshake { return l.client(testConfig(), nil, nil, notify) })
	if err != nil {
		t.Fatal(err)
	}
	p := s.(*records)
	r := receiver{stream: p}
	r.feed(early)
	buf := make([]byte, 4096)
	for i := range 5 {
		key := p.read.key
		if _, err := nc.Write(p.updateKey(nil, 1)); err != nil {
			t.Fatal(err)
		}
		for p.read.key == key && r.err == nil {
			n, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			r.feed(buf[:n])
		}
		nc.Write(p.Seal(nil, []byte{byte(i)}))
	}
	for len(r.got) < 5 && r.err == nil {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		r.feed(buf[:n])
	}
	if r.err != nil || !bytes.Equal(r.got, []byte{0, 1, 2, 3, 4}) {
		t.Errorf("%v, error %v", r.got, r.err)
	}
}

// connections returns how many connections e has.
func connections(e *engine.Engine) int { return must(e.Stats(context.Background())).Connections }

// TestSmallSharedMessagesShareRecords writes many short shared messages in one turn: they take few
// records, and arrive in order.
func TestSmallSharedMessagesShareRecords(t *testing.T) {
	const messages, size = 1000, 50
	e := run(t, engine.Config{Loops: 1})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		for i := range messages {
			c.WriteShared(bytes.Repeat([]byte{byte(i)}, size), engine.SlowWait)
		}
		c.Close()
		return &echoing{conn: c}
	})
	counted := &counting{Conn: must(net.Dial("tcp", addr))}
	nc := tls.Client(counted, testConfig())
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(nc)
	if err != nil || len(got) != messages*size {
		t.Fatalf("%d bytes, error %v", len(got), err)
	}
	for i := range messages {
		if got[i*size] != byte(i) || got[i*size+size-1] != byte(i) {
			t.Fatalf("message %d is not whole", i)
		}
	}
	if n := counted.read - len(got); n > 8000 { // the handshake included
		t.Errorf("%d bytes more than the messages", n)
	}
}

type counting struct {
	net.Conn
	read int
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read += n
	return n, err
}
