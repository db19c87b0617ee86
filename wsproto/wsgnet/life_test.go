package wsgnet_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
	"github.com/myriadnet/myriad/wsproto/wsgnet"
)

// TestLives: callbacks and peers do anything at any time. Close is the last call, once for each
// Open, messages come in order, and nothing is left behind.
func TestLives(t *testing.T) {
	seeds, first := 2, uint64(1)
	if s := os.Getenv("LIVES_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	if s := os.Getenv("LIVES_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { live(t, seed) })
	}
}

// world is where connections live.
type world struct {
	t       *testing.T
	mu      sync.Mutex
	rng     *rand.Rand
	opened  atomic.Int64
	closed  atomic.Int64
	address string
}

func (w *world) n(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// life is what is known of one Conn.
type life struct {
	w            *world
	c            *wsgnet.Conn
	open, closed bool
	sent, got    int
}

// enter is called in a callback, which does anything.
func (l *life) enter(what string) {
	if l.closed {
		l.w.t.Errorf("%s after Close", what)
	}
	if !l.open {
		l.w.t.Errorf("%s before Open", what)
	}
	for range l.w.n(3) {
		l.act()
	}
}

func (l *life) act() {
	c, w := l.c, l.w
	switch w.n(14) {
	case 0, 1, 2:
		if c.Send(wsproto.Text, []byte("s"+strconv.Itoa(l.sent))) == nil {
			l.sent++
		}
	case 3:
		c.Send(wsproto.Binary, make([]byte, w.n(300<<10)))
	case 4:
		c.SendAsync(wsproto.Binary, []byte("async"))
	case 5:
		go c.SendAsync(wsproto.Binary, []byte("async"))
	case 6:
		c.Post(func(*wsgnet.Conn) { l.enter("Post") })
	case 7:
		go c.Post(func(*wsgnet.Conn) { l.enter("Post") })
	case 8:
		c.SendPrepared(wsproto.Prepare(wsproto.Binary, make([]byte, w.n(30<<10))))
	case 9:
		c.Ping([]byte("x"))
	case 10:
		if w.n(3) == 0 {
			c.Close(wsproto.NormalClosure, "")
		}
	case 11:
		if w.n(6) == 0 {
			c.NetConn().Close()
		}
	case 12:
		if w.n(6) == 0 {
			go c.NetConn().Close()
		}
	case 13:
		go c.Post(func(c *wsgnet.Conn) { c.Close(4000, "") })
	}
}

func live(t *testing.T, seed uint64) {
	before := runtime.NumGoroutine()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2))}
	t.Run("", func(t *testing.T) {
		w.address = serve(t, w.server())
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 15 {
					w.peer()
				}
			})
		}
		if seed%2 == 0 {
			all.Wait()
			eventually(t, "end of all connections", func() bool { return w.opened.Load() == w.closed.Load() })
		} else { // the engine ends meanwhile
			time.Sleep(time.Duration(w.n(500)) * time.Millisecond)
			t.Cleanup(all.Wait)
		}
	})
	if w.opened.Load() != w.closed.Load() {
		t.Errorf("%d opened, %d closed", w.opened.Load(), w.closed.Load())
	}
	eventually(t, "end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func (w *world) server() *wsgnet.Server {
	const short = 200 * time.Millisecond
	return &wsgnet.Server{
		Handshake: func(c *wsgnet.Conn, _ *handshake.Request) error {
			c.Value = &life{w: w, c: c}
			switch w.n(20) {
			case 0:
				return errors.New("an error")
			case 1:
				c.NetConn().Close()
			case 2:
				c.Close(wsproto.NormalClosure, "")
				c.Send(wsproto.Text, nil)
			}
			return nil
		},
		Open: func(c *wsgnet.Conn) {
			l := c.Value.(*life)
			l.open = true
			w.opened.Add(1)
			l.enter("Open")
		},
		Message: w.message,
		Ping:    func(c *wsgnet.Conn, _ []byte) { c.Value.(*life).enter("Ping") },
		Pong:    func(c *wsgnet.Conn, _ []byte) { c.Value.(*life).enter("Pong") },
		Close: func(c *wsgnet.Conn, err error) {
			l := c.Value.(*life)
			l.enter("Close")
			l.closed = true
			w.closed.Add(1)
		},
		Limits: wsproto.Limits{HandshakeTimeout: short, IdleTimeout: short, PongTimeout: short, CloseTimeout: short,
			ProgressTimeout: short},
		Compression: &deflate.Compression{ServerTakeover: true, ClientTakeover: true},
		MaxOutbound: 500 << 10,
	}
}

func (w *world) message(c *wsgnet.Conn, _ wsproto.Opcode, data []byte) {
	l := c.Value.(*life)
	if n, ok := strings.CutPrefix(string(data), "m"); ok {
		if n != strconv.Itoa(l.got) {
			w.t.Errorf("message %s, want %d", n, l.got)
		}
		l.got++
	}
	copied := bytes.Clone(data)
	l.enter("Message")
	if !bytes.Equal(copied, data) {
		w.t.Error("the message has changed")
	}
}

// peer is a client.
func (w *world) peer() {
	nc, err := net.Dial("tcp", w.address)
	if err != nil {
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Second))
	if w.n(3) == 0 {
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	next := w.n(4)
	b := []byte("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	for i := range next {
		b = wsproto.AppendMasked(b, wsproto.Text, 77, []byte("m"+strconv.Itoa(i)))
	}
	nc.Write(b)
	r := bufio.NewReader(nc)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		return
	}
	go w.write(nc.(*net.TCPConn), next)
	want := 0
	for {
		f, err := ws.ReadFrame(r)
		if err != nil {
			return
		}
		if n, ok := strings.CutPrefix(string(f.Payload), "s"); ok && f.Header.OpCode == ws.OpText {
			if n != strconv.Itoa(want) {
				w.t.Errorf("message %s from the server, want %d", n, want)
			}
			want++
		}
		if f.Header.OpCode == ws.OpClose && w.n(2) == 0 {
			return
		}
		if w.n(4) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// write sends messages, and ends somehow.
func (w *world) write(nc *net.TCPConn, next int) {
	for range w.n(30) {
		var b []byte
		switch w.n(6) {
		case 0:
			b = wsproto.AppendMasked(b, wsproto.Ping, 5, []byte("peer"))
		case 1:
			b = wsproto.AppendMasked(b, wsproto.Binary, 5, make([]byte, w.n(30<<10)))
		case 2:
			time.Sleep(time.Duration(w.n(30)) * time.Millisecond)
		default:
			b = wsproto.AppendMasked(b, wsproto.Text, 78, []byte("m"+strconv.Itoa(next)))
			next++
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
	switch w.n(6) {
	case 0:
		nc.Close()
	case 1:
		nc.SetLinger(0)
		nc.Close()
	case 2:
		nc.CloseWrite()
	case 3:
		io.WriteString(nc, "garbage")
	case 4:
		nc.Write(wsproto.AppendMasked(nil, wsproto.Close, 5, []byte{3, 232}))
	}
}
