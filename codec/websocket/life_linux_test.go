package websocket_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestLives: callbacks do anything, at any time, to connections of every origin, and so do their
// peers. Every connection must live by the rules of Server all the same, and leave nothing behind.
func TestLives(t *testing.T) {
	seeds, first := 3, uint64(1)
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
	t         *testing.T
	eng       *engine.Engine
	server    *websocket.Server
	mux       *websocket.Mux
	inMux     [2]*websocket.Server
	client    *websocket.Client
	addresses []string // plain, of the Mux, with TLS, of net/http
	dials     atomic.Int64
	calm      atomic.Bool // nothing trips any more

	mu    sync.Mutex
	rng   *rand.Rand
	lives map[*websocket.Conn]*life
	owed  map[string]int // what must be told, by its name
}

func (w *world) n(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// owe notes that something will be told, once: by calling told.
func (w *world) owe(what string) (told func()) {
	w.mu.Lock()
	w.owed[what]++
	w.mu.Unlock()
	var once atomic.Bool
	return func() {
		if once.Swap(true) {
			w.t.Errorf("%s is told twice", what)
			return
		}
		w.mu.Lock()
		w.owed[what]--
		w.mu.Unlock()
	}
}

func (w *world) owes() (all string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what, n := range w.owed {
		if n != 0 {
			all += strconv.Itoa(n) + " " + what + ", "
		}
	}
	return all
}

// life is what is known of one Conn.
type life struct {
	w      *world
	c      *websocket.Conn
	busy   atomic.Bool // a callback is in progress
	opened bool
	closed atomic.Bool
	got    int // messages, which are numbered
	sent   int // the same
	stream bool
	lasts  atomic.Bool // it may not end by itself: see rest
	told   func()      // of Close
}

// enter begins a callback of c. The caller defers leave.
func (w *world) enter(c *websocket.Conn, what string) *life {
	w.mu.Lock()
	l := w.lives[c]
	if l == nil {
		l = &life{w: w, c: c}
		w.lives[c] = l
	}
	w.mu.Unlock()
	if l.busy.Swap(true) {
		w.t.Errorf("%s within another callback", what)
	}
	if l.closed.Load() {
		w.t.Errorf("%s after Close", what)
	}
	if !w.eng.OnLoop() {
		w.t.Errorf("%s is not on a loop", what)
	}
	return l
}

func (l *life) leave() { l.busy.Store(false) }

func (w *world) open(c *websocket.Conn) {
	l := w.enter(c, "Open")
	defer l.leave()
	if l.opened {
		w.t.Error("Open twice")
	}
	l.opened, l.told = true, w.owe("Close")
	l.act()
}

func (w *world) message(c *websocket.Conn, op websocket.Opcode, data []byte) {
	l := w.enter(c, "Message")
	defer l.leave()
	if len(data) > 1 && (data[0] == 'm' || data[0] == 's') { // of a peer, or of say
		if n := string(data[1:]); n != strconv.Itoa(l.got) {
			w.t.Errorf("message %s, want %d", data, l.got)
		}
		l.got++
	}
	if l.stream {
		w.t.Error("Message of a Stream")
	}
	l.act()
}

func (w *world) piece(c *websocket.Conn, _ websocket.Opcode, _ []byte, _ bool) { w.other("Piece")(c) }

// exceeded makes no Stream: the message that is to be delivered would be one of before.
func (w *world) exceeded(c *websocket.Conn) {
	l := w.enter(c, "Exceeded")
	defer l.leave()
	l.say(c)
	if w.n(8) == 0 {
		c.Close(websocket.PolicyViolation, "")
	}
	w.trip()
}

func (w *world) other(what string) func(c *websocket.Conn) {
	return func(c *websocket.Conn) {
		l := w.enter(c, what)
		defer l.leave()
		l.act()
	}
}

func (w *world) control(what string) func(*websocket.Conn, []byte) {
	return func(c *websocket.Conn, _ []byte) { w.other(what)(c) }
}

func (w *world) close(c *websocket.Conn, err error) {
	l := w.enter(c, "Close")
	defer l.leave()
	l.closed.Store(true)
	if !l.opened {
		w.t.Error("Close without Open")
		return
	}
	l.told()
	if _, err := c.Send(websocket.Text, nil); !errors.Is(err, engine.ErrClosed) {
		w.t.Errorf("Send in Close: %v", err)
	}
	if len(c.Attachments()) > 0 || c.Context().Err() == nil || !c.Handle().Closed() {
		w.t.Error("not over in Close")
	}
	l.act()
}

func (w *world) refused(websocket.Refusal) { w.trip() }
