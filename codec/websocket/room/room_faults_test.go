package room_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// running starts an engine with one loop.
func running(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		<-done
	})
	return e
}

// TestRoomClosesInItsFirstTick: the tick may come before New has returned on another goroutine. No
// tick follows.
func TestRoomClosesInItsFirstTick(t *testing.T) {
	e := running(t)
	ticks := make(chan struct{}, 1000)
	_, err := room.New(e, room.Config{Period: time.Microsecond, Tick: func(r *room.Room, _ room.Tick) {
		ticks <- struct{}{}
		r.Close()
	}})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "tick", ticks)
	over := make(chan struct{})
	if err := e.Post(0, func() { close(over) }); err != nil {
		t.Fatal(err)
	}
	receive(t, "end of Close", over)
	for len(ticks) > 0 {
		<-ticks
	}
	again := make(chan struct{}, 1)
	k, err := e.NewTicker(0, time.Millisecond, func(engine.Tick) {
		select {
		case again <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "another ticker's tick", again)
	k.Stop()
	if len(ticks) > 0 {
		t.Error("a tick of a Room that is closed")
	}
}

// TestLeftPanicsWhileRoomCloses: Left is called for the other Seats all the same.
func TestLeftPanicsWhileRoomCloses(t *testing.T) {
	const seats = 3
	e := running(t)
	left := make(chan error, 10)
	r, err := room.New(e, room.Config{Left: func(_ *room.Seat, err error) {
		left <- err
		panic("Left panics")
	}})
	if err != nil {
		t.Fatal(err)
	}
	joined := make(chan error, seats)
	s := &websocket.Server{Open: func(c *websocket.Conn) {
		_, err := r.Join(c)
		joined <- err
	}}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	for range seats {
		c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if err := receive(t, "Join", joined); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	for range seats {
		if err := receive(t, "Left", left); !errors.Is(err, room.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
}

// TestClosedConnectionGetsNoSeat: nobody would ever tell that such a connection is lost, so it
// would have its Seat for good.
func TestClosedConnectionGetsNoSeat(t *testing.T) {
	e := running(t)
	r, err := room.New(e, room.Config{Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	s := &websocket.Server{
		Open: func(c *websocket.Conn) {
			seat, err := r.Join(c)
			if err != nil {
				t.Error(err)
			}
			c.Value = seat
		},
		Close: func(c *websocket.Conn, err error) {
			seat := c.Value.(*room.Seat)
			seat.Lost(c, err)
			_, _, err = r.Resume(c, seat.Token(), 0)
			errs <- err
			if seat.Conn() != nil {
				t.Error("the Seat has a connection that is closed")
			}
			_, err = r.Join(c)
			errs <- err
		},
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	for range 2 {
		if err := receive(t, "error", errs); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
}

// TestJoinInLeft: Left may give the place of a Seat that gave way to another connection. Then there
// is none for the newcomer: the Room had more than MaxSeats.
func TestJoinInLeft(t *testing.T) {
	e := running(t)
	var r *room.Room
	var other *websocket.Conn
	joined := make(chan error, 10)
	r, err := room.New(e, room.Config{MaxSeats: 1, Grace: time.Minute, Left: func(*room.Seat, error) {
		if c := other; c != nil {
			other = nil
			_, err := r.Join(c)
			joined <- err
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan *websocket.Conn, 10)
	s := &websocket.Server{
		Open: func(c *websocket.Conn) { opened <- c },
		Close: func(c *websocket.Conn, err error) {
			if seat, ok := c.Value.(*room.Seat); ok {
				seat.Lost(c, err)
				joined <- err
			}
		},
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	dial := func() (*wsconn.Conn, *websocket.Conn) {
		c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseNow)
		return c, receive(t, "Open", opened)
	}
	on := func(f func()) {
		done := make(chan struct{})
		if err := r.Post(func() { defer close(done); f() }); err != nil {
			t.Fatal(err)
		}
		receive(t, "call", done)
	}
	client, first := dial()
	on(func() {
		seat, err := r.Join(first)
		if err != nil {
			t.Error(err)
		}
		first.Value = seat
	})
	client.CloseNow()
	receive(t, "loss", joined)
	_, second := dial()
	_, third := dial()
	on(func() {
		other = second
		if _, err := r.Join(third); !errors.Is(err, room.ErrFull) {
			t.Errorf("error %v", err)
		}
		if n := r.Len(); n != 1 {
			t.Errorf("%d seats, of 1", n)
		}
	})
	if err := receive(t, "Join in Left", joined); err != nil {
		t.Error(err)
	}
}

// TestGraceForEver: a Seat whose Grace is the longest time waits. It ended with the next tick, and
// the Room's clock is far from the end of a Duration.
func TestGraceForEver(t *testing.T) {
	e := running(t)
	ticks, left := make(chan struct{}, 1000), make(chan error, 10)
	r, err := room.New(e, room.Config{Grace: math.MaxInt64, Period: time.Millisecond,
		Tick: func(*room.Room, room.Tick) {
			select {
			case ticks <- struct{}{}:
			default:
			}
		},
		Left: func(_ *room.Seat, err error) { left <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan struct{})
	server := &websocket.Server{
		Open: func(c *websocket.Conn) {
			s, err := r.Join(c)
			if err != nil {
				t.Error(err)
			}
			c.Value = s
			c.EngineConn().Close()
		},
		Close: func(c *websocket.Conn, err error) {
			c.Value.(*room.Seat).Lost(c, err)
			close(lost)
		},
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wsconn.Dial(t.Context(), "ws://"+ln.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Read(t.Context())
	c.CloseNow()
	receive(t, "end of the connection", lost)
	for len(ticks) > 0 {
		<-ticks
	}
	receive(t, "tick", ticks)
	receive(t, "another", ticks)
	if len(left) > 0 {
		t.Errorf("it has left: %v", <-left)
	}
}

// TestReplacedCodeMustBeSendable: otherwise the connection whose Seat was taken stayed open.
func TestReplacedCodeMustBeSendable(t *testing.T) {
	if _, err := room.New(running(t), room.Config{ReplacedCode: websocket.AbnormalClosure}); err == nil {
		t.Error("no error")
	}
}

// TestNoSeatBeforeOpen: a handshake that is refused has no callback Close, so a Seat that it had
// got stayed for good, and one that it had resumed was sent nothing.
func TestNoSeatBeforeOpen(t *testing.T) {
	e := running(t)
	r, err := room.New(e, room.Config{Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	errs, seats := make(chan error, 2), make(chan *room.Seat, 1)
	var seat *room.Seat
	s := &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			if seat == nil {
				return
			}
			_, err := r.Join(h.Conn)
			errs <- err
			_, _, err = r.Resume(h.Conn, seat.Token(), 0)
			errs <- err
			h.Refuse(403, "no")
		},
		Open: func(c *websocket.Conn) {
			var err error
			if seat, err = r.Join(c); err != nil {
				t.Error(err)
			}
			seats <- seat
		},
		Close: func(c *websocket.Conn, err error) { seat.Lost(c, err) },
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseNow)
	receive(t, "seat", seats)
	if _, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil); err == nil {
		t.Error("the handshake was not refused")
	}
	for range 2 {
		if err := receive(t, "error", errs); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	n := make(chan int, 1)
	r.Post(func() {
		if seat.Conn() == nil {
			t.Error("the Seat has lost its connection")
		}
		n <- r.Len()
	})
	if n := receive(t, "number", n); n != 1 {
		t.Errorf("%d seats, want 1", n)
	}
}

// TestNewAfterTheEnd: a Room without a clock was made on an engine that has ended.
func TestNewAfterTheEnd(t *testing.T) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	for _, c := range []room.Config{{}, {Grace: time.Minute}} {
		if _, err := room.New(e, c); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
