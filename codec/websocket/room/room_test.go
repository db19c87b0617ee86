package room_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

const patience = 10 * time.Second

// hall is a server with one Room. A client joins, or resumes with ?token=...&have=..., and is told
// its token by a binary message, which is not numbered.
type hall struct {
	*room.Room
	engine  *engine.Engine
	server  *websocket.Server
	address string
	left    chan error
	missed  atomic.Int64 // of all Resumes
}

func open(t testing.TB, c room.Config) *hall {
	t.Helper()
	return openWith(t, c, nil)
}

// openWith is open for a server that compresses.
func openWith(t testing.TB, c room.Config, compression *websocket.Compression) *hall {
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{engine: e, left: make(chan error, 1000)}
	c.Loop, c.Left = 1, func(_ *room.Seat, err error) { h.left <- err }
	if h.Room, err = room.New(e, c); err != nil {
		t.Fatal(err)
	}
	s := &websocket.Server{
		Compression: compression,
		Handshake: func(hs *websocket.Handshake) {
			hs.Conn.Value = hs.Request().URL.Query()
			hs.MoveTo(h.Loop())
		},
		Open: h.enter,
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			if s, ok := c.Value.(*room.Seat); ok && string(data) == "leave" {
				s.Leave()
			}
		},
		Close: func(c *websocket.Conn, err error) {
			if s, ok := c.Value.(*room.Seat); ok {
				s.Lost(c, err)
			}
		},
	}
	h.server = s
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	h.address = ln.String()
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		<-done
	})
	return h
}

// enter is the callback Open.
func (h *hall) enter(c *websocket.Conn) {
	q := c.Value.(interface{ Get(string) string })
	c.Value = nil
	var s *room.Seat
	var err error
	if token := q.Get("token"); token != "" {
		have, _ := strconv.ParseUint(q.Get("have"), 10, 64)
		var missed uint64
		s, missed, err = h.Resume(c, token, have)
		h.missed.Add(int64(missed))
	} else {
		s, err = h.Join(c)
	}
	if err != nil {
		c.Close(websocket.PolicyViolation, err.Error())
		return
	}
	c.Value = s
	c.Send(websocket.Binary, []byte(s.Token()))
}

// guest is a client.
type guest struct {
	*wsconn.Conn
	t     testing.TB
	token string
	have  uint64
}

func (h *hall) dial(t testing.TB, query string) *guest {
	t.Helper()
	c, err := wsconn.Dial(t.Context(), "ws://"+h.address+"/"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseNow)
	return &guest{Conn: c, t: t}
}

// read reads a message; an unnumbered one is the token.
func (g *guest) read() (text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	op, data, err := g.Read(ctx)
	switch {
	case err != nil:
		return "", err
	case op == wsconn.Binary:
		g.token = string(data)
		return "", nil
	}
	g.have++
	return string(data), nil
}

func (g *guest) expect(want string) {
	g.t.Helper()
	if got, err := g.read(); got != want || err != nil {
		g.t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

func (h *hall) join(t testing.TB) *guest {
	t.Helper()
	g := h.dial(t, "")
	g.expect("")
	return g
}

func (g *guest) query() string {
	return "?" + "token=" + g.token + "&have=" + strconv.FormatUint(g.have, 10)
}

// on calls f on the Room's loop, and waits for it.
func (h *hall) on(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	if err := h.Post(func() { f(); close(done) }); err != nil {
		t.Fatal(err)
	}
	receive(t, "call", done)
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

// until waits for cond, which is called on the Room's loop.
func (h *hall) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ok := false
		if h.on(t, func() { ok = cond() }); ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

func (h *hall) away() (n int) {
	for s := range h.Seats() {
		if s.Conn() == nil {
			n++
		}
	}
	return n
}

// TestResumeLosesAndDoublesNothing: clients lose their connections at random, while messages are
// sent to them, and come back. Each gets every message once, in order.
func TestResumeLosesAndDoublesNothing(t *testing.T) {
	h := open(t, room.Config{Grace: time.Minute, MaxKept: 1 << 20, MaxSeats: 8})
	const clients, messages = 8, 300
	finished := make(chan error, clients)
	for i := range clients {
		go func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			g := h.join(t)
			for g.have < messages {
				want := strconv.FormatUint(g.have+1, 10)
				got, err := g.read()
				if err != nil || got != "" && got != want {
					finished <- errors.Join(err, errors.New("got "+got+", want "+want))
					return
				}
				if rng.IntN(20) == 0 { // also with messages on their way
					query := g.query()
					if rng.IntN(2) == 0 {
						g.CloseNow()
					}
					have, token := g.have, g.token
					g = h.dial(t, query)
					g.have, g.token = have, token
				}
			}
			finished <- nil
		}()
	}
	h.until(t, "clients", func() bool { return h.Len() == clients })
	for i := range messages {
		h.on(t, func() { h.SendAll(websocket.Text, []byte(strconv.Itoa(i+1))) })
	}
	for range clients {
		if err := receive(t, "end", finished); err != nil {
			t.Error(err)
		}
	}
	if n := h.missed.Load(); n > 0 {
		t.Errorf("%d messages are missed", n)
	}
	h.on(t, func() {
		if h.Len() != clients {
			t.Errorf("%d seats", h.Len())
		}
	})
}

// TestLaterConnectionTakesTheSeat: two newcomers with one token; the earlier is closed, and its end
// changes nothing for the later.
func TestLaterConnectionTakesTheSeat(t *testing.T) {
	h := open(t, room.Config{Grace: time.Minute})
	first := h.join(t)
	h.on(t, func() {
		for s := range h.Seats() {
			s.Value = "mine"
		}
	})
	second := h.dial(t, first.query())
	second.expect("")
	third := h.dial(t, first.query())
	third.expect("")
	for _, g := range []*guest{first, second} {
		if _, err := g.read(); wsconn.CloseStatus(err) != 4001 {
			t.Errorf("the earlier connection gets %v", err)
		}
	}
	h.on(t, func() {
		if h.Len() != 1 || h.away() != 0 {
			t.Errorf("%d seats, %d of them away", h.Len(), h.away())
		}
		for s := range h.Seats() {
			if s.Value != "mine" {
				t.Errorf("Value is %v", s.Value)
			}
		}
		h.SendAll(websocket.Text, []byte("for the latest"))
	})
	third.expect("for the latest")
}

// TestSeatEnds: by the end of its grace, by Leave, for a newcomer, and with the Room.
func TestSeatEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		config room.Config
		end    func(t *testing.T, h *hall, g *guest)
		want   error // nil: any
	}{
		{name: "grace over", config: room.Config{Grace: 20 * time.Millisecond}, want: room.ErrGraceOver,
			end: func(_ *testing.T, _ *hall, g *guest) { g.CloseNow() }},
		{name: "no grace", end: func(_ *testing.T, _ *hall, g *guest) { g.CloseNow() }},
		{name: "gave way", config: room.Config{Grace: time.Hour, MaxSeats: 1}, want: room.ErrGaveWay,
			end: func(t *testing.T, h *hall, g *guest) {
				g.CloseNow()
				h.until(t, "loss", func() bool { return h.away() == 1 })
				h.join(t)
			}},
		{name: "leave", config: room.Config{Grace: time.Hour}, end: func(t *testing.T, _ *hall, g *guest) {
			if err := g.Write(t.Context(), wsconn.Text, []byte("leave")); err != nil {
				t.Error(err)
			}
		}},
		{name: "room closed", config: room.Config{Grace: time.Hour}, want: room.ErrClosed,
			end: func(_ *testing.T, h *hall, _ *guest) { h.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.config)
			g := h.join(t)
			c.end(t, h, g)
			if err := receive(t, "end", h.left); c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("reason %v, want %v", err, c.want)
			}
			again := h.dial(t, g.query())
			if _, err := again.read(); wsconn.CloseStatus(err) != wsconn.PolicyViolation {
				t.Errorf("a seat that has ended is resumed: %v", err)
			}
		})
	}
}

// TestRefusals: a full Room, tokens that nobody has got, and a client that has more than was sent.
func TestRefusals(t *testing.T) {
	h := open(t, room.Config{Grace: time.Minute, MaxSeats: 1})
	g := h.join(t)
	wrong := []byte(g.token)
	wrong[20] ^= 1
	for _, query := range []string{"", "?token=x", "?token=" + string(wrong), "?token=" + g.token + "&have=1",
		"?token=" + g.token[:31], "?token=" + g.token + "A"} {
		if _, err := h.dial(t, query).read(); wsconn.CloseStatus(err) != wsconn.PolicyViolation {
			t.Errorf("%s: %v", query, err)
		}
	}
	h.on(t, func() { h.SendAll(websocket.Text, []byte("still here")) })
	g.expect("still here")
}

// TestKeptIsBounded: beyond the limits the oldest messages are given up, and Resume tells.
func TestKeptIsBounded(t *testing.T) {
	const words = 4
	cost := websocket.Prepare(websocket.Text, make([]byte, 10)).Size() + words*strconv.IntSize/8
	for _, c := range []struct {
		name   string
		config room.Config
	}{
		{name: "per seat", config: room.Config{MaxKept: 10 * cost}},
		{name: "in total", config: room.Config{MaxKeptTotal: 10 * cost}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Grace = time.Minute
			h := open(t, c.config)
			g := h.join(t)
			g.CloseNow()
			h.until(t, "loss", func() bool { return h.away() == 1 })
			h.on(t, func() {
				for i := range 25 {
					h.SendAll(websocket.Text, []byte("message 0"+string(rune('a'+i))))
				}
			})
			again := h.dial(t, g.query())
			for i := 15; i < 25; i++ {
				again.expect("message 0" + string(rune('a'+i)))
			}
			again.expect("")
			if n := h.missed.Load(); n != 15 {
				t.Errorf("%d are missed, want 15", n)
			}
			h.on(t, func() {
				for s := range h.Seats() {
					s.Acknowledge(s.Sent())
				}
			})
			h.dial(t, "?token="+g.token+"&have=25").expect("")
		})
	}
}

// TestKeptCostsWhatIsHeld: many small messages took three times as much memory as MaxKept.
func TestKeptCostsWhatIsHeld(t *testing.T) {
	const limit = 4 << 20
	h := open(t, room.Config{Grace: time.Minute, MaxKept: limit})
	g := h.join(t)
	g.CloseNow()
	h.until(t, "loss", func() bool { return h.away() == 1 })
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	h.on(t, func() {
		before := heap()
		for s := range h.Seats() {
			for range limit / 64 {
				s.Send(websocket.Text, []byte("a message."))
			}
		}
		if n := heap() - before; n > limit*9/8 {
			t.Errorf("%d bytes are held, the limit is %d", n, limit)
		}
	})
	h.dial(t, g.query()).expect("a message.")
}

// TestTicks: Step is what the ticks stand for, so that the sum of them is the time that has passed.
func TestTicks(t *testing.T) {
	const period = 5 * time.Millisecond
	ticks := make(chan room.Tick, 10)
	h := open(t, room.Config{Period: period, Tick: func(_ *room.Room, k room.Tick) {
		select {
		case ticks <- k:
		default:
		}
	}})
	first := receive(t, "tick", ticks)
	passed := time.Duration(0)
	for range cap(ticks) - 1 {
		k := receive(t, "tick", ticks)
		if want := first.Due + first.Step + passed; k.Due != want || k.Step != time.Duration(k.Skipped+1)*period {
			t.Errorf("%+v, want it due at %v", k, want)
		}
		passed += k.Step
	}
	h.Close()
}

// TestOtherLoop: a connection must be on the Room's loop.
func TestOtherLoop(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	r, err := room.New(e, room.Config{Loop: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	s := &websocket.Server{Handshake: func(h *websocket.Handshake) { h.MoveTo(0) },
		Open: func(c *websocket.Conn) {
			_, err := r.Join(c)
			got <- err
		}}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	go e.Run(context.Background())
	defer e.Close()
	c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := receive(t, "Join", got); !errors.Is(err, room.ErrOtherLoop) {
		t.Errorf("error %v", err)
	}
}
