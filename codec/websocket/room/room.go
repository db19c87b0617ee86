package room

import (
	"container/list"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

var (
	// ErrOtherLoop means that a connection is not on the Room's loop: see
	// websocket.Handshake.MoveTo.
	ErrOtherLoop = errors.New("room: the connection is not on the room's loop (see Handshake.MoveTo)")
	// ErrFull means that Config.MaxSeats are taken.
	ErrFull = errors.New("room: all seats are taken")
	// ErrNoSeat means that a token is not that of a Seat: it was never given out, or the Seat has
	// ended.
	ErrNoSeat = errors.New("room: no seat for this token")
	// ErrGraceOver is why a Seat has ended whose client did not come back.
	ErrGraceOver = errors.New("room: the client did not come back in time")
	// ErrGaveWay is why a Seat has ended whose client was away when a newcomer needed a place.
	ErrGaveWay = errors.New("room: another client has taken the place of one that was away")
	// ErrClosed means that the Room is closed.
	ErrClosed = errors.New("room: the room is closed")
)

// Config is what a Room is made with. The zero value is a Room without ticks on loop 0, whose Seats
// end with their connections.
type Config struct {
	// Loop is the number of the engine's loop that the Room lives on.
	Loop int
	// Tick is called on the loop once per Period: see engine.Engine.NewTicker. Optional.
	Tick   func(*Room, Tick)
	Period time.Duration

	// MaxSeats is how many Seats there may be, with and without a connection. If they are all
	// taken, the one that has been away for the longest time gives way to a newcomer. Default:
	// 1,024.
	MaxSeats int
	// Grace is how long a Seat waits for a client that has lost its connection. Default: it ends
	// at once.
	Grace time.Duration
	// MaxKept is how many bytes of messages a Seat keeps for a client that may come back, with
	// what each takes besides: about 230 bytes, and what it was compressed to. A message of SendAll
	// counts for each Seat. The oldest are given up: see Room.Resume. Default: 64 KiB.
	MaxKept int
	// MaxKeptTotal is how many bytes all Seats together keep. Default: 64 MiB.
	MaxKeptTotal int
	// ReplacedCode is the close code for a connection whose Seat a later one has taken. Such a
	// client should not come back by itself. Default: 4001.
	ReplacedCode websocket.CloseCode

	// Left is called once for each Seat, when it has ended: because of Seat.Leave, with a nil
	// error, the error of Seat.Lost, ErrGraceOver, ErrGaveWay or ErrClosed. Optional.
	Left func(*Seat, error)
}

// Tick is one tick of a Room.
type Tick struct {
	engine.Tick
	// Step is the time that has passed on the Room's schedule since the last tick: the period, or
	// a multiple of it if ticks were skipped.
	Step time.Duration
}

// Room is a set of Seats on one loop.
type Room struct {
	engine *engine.Engine
	config Config
	ticker atomic.Pointer[engine.Ticker] // nil: none, or New has not returned
	closed bool

	seats []*Seat
	byID  map[uint64]*Seat
	away  list.List // of *Seat, those that are away for the longest time first
	kept  int       // bytes of all Seats
}

// New makes a Room on a loop of e. It may be called from any goroutine, before Run as well. The
// error is engine.ErrClosed if the engine has ended, or says what makes no sense in c.
func New(e *engine.Engine, c Config) (*Room, error) {
	if c.Loop < 0 || c.Loop >= e.Loops() {
		return nil, fmt.Errorf("room: no loop %d: this engine has %d, from 0 on", c.Loop, e.Loops())
	}
	if (c.Tick != nil) != (c.Period > 0) || c.Period < 0 {
		return nil, fmt.Errorf("room: want both Tick and Period, or neither")
	}
	if code := c.ReplacedCode; code != 0 && !code.Sendable() { // the connection would stay open
		return nil, fmt.Errorf("room: close code %d must not be sent (RFC 6455 section 7.4)", code)
	}
	setDefault(&c.MaxSeats, 1024)
	setDefault(&c.MaxKept, 64<<10)
	setDefault(&c.MaxKeptTotal, 64<<20)
	setDefault(&c.ReplacedCode, 4001)
	r := &Room{engine: e, config: c, byID: make(map[uint64]*Seat)}
	period := c.Period
	if period == 0 { // only Grace needs a clock
		period = max(c.Grace/8, 10*time.Millisecond)
	}
	if c.Tick == nil && c.Grace <= 0 {
		if err := e.Post(c.Loop, func() {}); err != nil { // the engine has ended
			return nil, err
		}
		return r, nil
	}
	ticker, err := e.NewTicker(c.Loop, period, func(t engine.Tick) { r.tick(t, period) })
	if err != nil {
		return nil, err
	}
	r.ticker.Store(ticker)
	return r, nil
}

func setDefault[T ~int | ~uint16](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

// tick ends Seats whose time is over, then calls Config.Tick.
func (r *Room) tick(t engine.Tick, period time.Duration) {
	if r.closed { // before New had the Ticker to stop
		r.stop()
		return
	}
	for first := r.away.Front(); first != nil; first = r.away.Front() {
		s := first.Value.(*Seat)
		if t.Now-s.lostAt < r.config.Grace {
			break
		}
		s.end(ErrGraceOver)
	}
	if f := r.config.Tick; f != nil && !r.closed {
		f(r, Tick{t, time.Duration(t.Skipped+1) * period})
	}
}

// Loop returns the number of the Room's loop. It may be called from any goroutine.
func (r *Room) Loop() int { return r.config.Loop }

// Post calls f on the Room's loop. It may be called from any goroutine. The error is
// engine.ErrClosed if the engine has ended.
func (r *Room) Post(f func()) error { return r.engine.Post(r.config.Loop, f) }

// Len returns the number of Seats, with and without a connection.
func (r *Room) Len() int { return len(r.seats) }

// Seats ranges over all Seats, with and without a connection. The order is undefined. No Seat may
// join or end meanwhile.
func (r *Room) Seats() iter.Seq[*Seat] {
	return func(yield func(*Seat) bool) {
		for _, s := range r.seats {
			if !yield(s) {
				return
			}
		}
	}
}

// Join gives a connection a Seat of its own. Then Seat.Lost must be called when the connection is
// closed. The error is ErrOtherLoop, ErrFull or ErrClosed, or engine.ErrClosed before Open and when
// the connection is closed.
func (r *Room) Join(c *websocket.Conn) (*Seat, error) {
	if err := r.check(c); err != nil {
		return nil, err
	}
	for len(r.seats) >= r.config.MaxSeats {
		longest := r.away.Front()
		if longest == nil {
			return nil, ErrFull
		}
		longest.Value.(*Seat).end(ErrGaveWay)
		if err := r.check(c); err != nil { // Left may have joined others, or closed anything
			return nil, err
		}
	}
	s := &Seat{room: r, conn: c, index: len(r.seats), key: newKey()}
	r.seats = append(r.seats, s)
	r.byID[s.key.id()] = s
	return s, nil
}

// Resume gives a connection the Seat of a token, in the place of the connection that had it. If
// that is still open, it is closed with Config.ReplacedCode: the later one wins. have is the number
// of messages of Seat.Send that the client has got. Those behind are sent, in their order. missed
// is how many of them were given up because of Config.MaxKept or MaxKeptTotal: if it is not 0, the
// client needs to be told everything anew.
//
// The error is ErrNoSeat, ErrOtherLoop or ErrClosed, engine.ErrClosed before Open and when the
// connection is closed, or says that the client claims to have more messages than were sent. Then
// nothing has changed.
func (r *Room) Resume(c *websocket.Conn, token string, have uint64) (s *Seat, missed uint64, err error) {
	if err := r.check(c); err != nil {
		return nil, 0, err
	}
	if s = r.find(token); s == nil {
		return nil, 0, ErrNoSeat
	}
	if have > s.sent {
		return nil, 0, fmt.Errorf("room: the client has %d messages, of %d", have, s.sent)
	}
	old := s.conn
	s.conn = c
	s.back()
	if old != nil && old != c {
		old.Close(r.config.ReplacedCode, "another connection has taken the seat")
	}
	s.Acknowledge(have)
	missed = s.sent - have - uint64(len(s.kept))
	s.sendKept()
	return s, missed, nil
}

// check returns an error if c cannot be in the Room.
func (r *Room) check(c *websocket.Conn) error {
	switch {
	case r.closed:
		return ErrClosed
	case c.Loop() != r.config.Loop || c.EngineConn().Engine() != r.engine:
		return ErrOtherLoop
	}
	// Before Open, and when it is closed, nobody would tell that it is lost. It is sent nothing.
	err := c.Attach(probe{})
	c.Detach(probe{})
	return err
}

// probe is an Attachment that finds out whether a connection is open.
type probe struct{}

func (probe) Flushed(*websocket.Conn)       {}
func (probe) Closed(*websocket.Conn, error) {}

// Broadcast sends a message to all connections of the Room. It is encoded once. Clients that are
// away do not get it, nor is it numbered: it is for what is soon out of date. slow is what becomes
// of it for a client that does not keep up.
func (r *Room) Broadcast(op websocket.Opcode, data []byte, slow engine.SlowPolicy) {
	p := websocket.Prepare(op, data)
	for _, s := range r.seats {
		if s.conn != nil {
			s.conn.SendPrepared(p, slow) // an error means that it is closing
		}
	}
}

// SendAll is Seat.Send for all Seats. The message is encoded once, and shared by them.
func (r *Room) SendAll(op websocket.Opcode, data []byte) {
	p := websocket.Prepare(op, data)
	for _, s := range r.seats {
		s.send(p)
	}
	for _, s := range r.seats { // now it is as large as it gets
		s.keep(p)
	}
}

// Close ends the Room: its ticks, and its Seats. Connections stay open. It may be called from any
// goroutine, and takes effect soon; more calls do nothing. When the engine has ended it does
// nothing either: close the Room before Shutdown if Config.Left has something to save.
func (r *Room) Close() {
	r.stop()
	r.Post(r.close) // an error means that the loop has ended
}

// stop ends the ticks.
func (r *Room) stop() {
	if t := r.ticker.Load(); t != nil {
		t.Stop()
	}
}

// close ends the Room on its loop.
func (r *Room) close() {
	r.closed = true
	defer func() {
		if len(r.seats) > 0 { // Left has panicked
			r.Post(r.close)
		}
	}()
	for len(r.seats) > 0 {
		r.seats[len(r.seats)-1].end(ErrClosed)
	}
}
