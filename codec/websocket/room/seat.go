package room

import (
	"container/list"
	"time"
	"unsafe"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// Seat is a client's place in a Room. It ends by Leave, by Room.Close, or when its client has been
// away for Config.Grace.
type Seat struct {
	// Value is the user's.
	Value any

	room  *Room
	conn  *websocket.Conn // nil: it is away
	index int             // in room.seats; -1: it has ended
	key   key

	sent  uint64        // messages of Send
	kept  []keptMessage // the last of them, not acknowledged
	bytes int           // what kept costs

	place  *list.Element // in room.away
	lostAt time.Duration
}

// keptMessage is a message of Send with what it was counted as.
type keptMessage struct {
	prepared *websocket.Prepared
	cost     int
}

// keptCost is what a Seat needs for a message besides the message: its place in kept, which grows
// by doubling.
const keptCost = 2 * int(unsafe.Sizeof(keptMessage{}))

func costOf(p *websocket.Prepared) int { return p.Size() + keptCost }

// Token returns what the client must show to resume the Seat: 32 characters that nobody can guess.
// It stays the same. It is as good as the connection itself: send it to this client alone.
func (s *Seat) Token() string { return s.key.token() }

// Room returns the Seat's Room.
func (s *Seat) Room() *Room { return s.room }

// Conn returns the Seat's connection, nil while the client is away.
func (s *Seat) Conn() *websocket.Conn { return s.conn }

// Sent returns how many messages Send has taken. It is the number of the last one.
func (s *Seat) Sent() uint64 { return s.sent }

// Send sends a message that the client must get, even if it is away or about to lose its
// connection. It copies data. Messages are numbered from 1 on. The number is not sent: the client
// counts, so it must be able to tell these messages from others that it is sent, for example by the
// opcode. They are kept until the client acknowledges them, within the limits of Config.
func (s *Seat) Send(op websocket.Opcode, data []byte) {
	if s.index < 0 {
		return
	}
	p := websocket.Prepare(op, data)
	s.send(p)
	s.keep(p)
}

// send sends a message, if there is a connection. What it is compressed to for that counts for
// keep, which must follow.
func (s *Seat) send(p *websocket.Prepared) {
	s.sent++
	if s.conn != nil {
		s.conn.SendPrepared(p, engine.SlowWait) // an error means that it is closing
	}
}

// keep keeps a message, and gives up the oldest ones for which there is no room beside it.
func (s *Seat) keep(p *websocket.Prepared) {
	if s.room.config.Grace <= 0 {
		return
	}
	c, cost := &s.room.config, costOf(p)
	drop, free := 0, s.bytes
	for drop < len(s.kept) && (free+cost > c.MaxKept || s.room.kept-(s.bytes-free)+cost > c.MaxKeptTotal) {
		free -= s.kept[drop].cost
		drop++
	}
	s.drop(drop)
	if s.bytes+cost <= c.MaxKept && s.room.kept+cost <= c.MaxKeptTotal {
		s.kept = append(s.kept, keptMessage{p, cost})
		s.bytes += cost
		s.room.kept += cost
	}
}

// sendKept sends what is kept. It counts again what each message takes: it may be compressed now.
// If that is too much, the oldest are given up.
func (s *Seat) sendKept() {
	for i := range s.kept {
		k := &s.kept[i]
		s.conn.SendPrepared(k.prepared, engine.SlowWait) // an error means that it is closing
		more := costOf(k.prepared) - k.cost
		k.cost += more
		s.bytes += more
		s.room.kept += more
	}
	c, drop, free := &s.room.config, 0, 0
	for drop < len(s.kept) && (s.bytes-free > c.MaxKept || s.room.kept-free > c.MaxKeptTotal) {
		free += s.kept[drop].cost
		drop++
	}
	s.drop(drop)
}

// drop gives up the oldest n of what is kept.
func (s *Seat) drop(n int) {
	if n == 0 {
		return
	}
	for i := range s.kept[:n] {
		s.bytes -= s.kept[i].cost
		s.room.kept -= s.kept[i].cost
	}
	clear(s.kept[:n])
	if s.kept = s.kept[n:]; len(s.kept) == 0 { // not moved: often it is one
		s.kept = nil
	}
}

// Acknowledge frees the first n messages of Send. Resume does so too: call it only if the client
// tells from time to time how many it has, so that less is kept for it.
func (s *Seat) Acknowledge(n uint64) {
	if first := s.sent - uint64(len(s.kept)); n > first { // the number in front of kept
		s.drop(int(min(n-first, uint64(len(s.kept)))))
	}
}

// Lost tells that c is closed, because of err. If another connection has taken the Seat, it does
// nothing. Otherwise the client is away from now on. Without Config.Grace the Seat ends. Call it in
// the callback Close of the Server.
func (s *Seat) Lost(c *websocket.Conn, err error) {
	if s.index < 0 || s.conn != c {
		return
	}
	s.conn = nil
	if s.room.config.Grace <= 0 {
		s.end(err)
		return
	}
	s.lostAt = c.EngineConn().Now()
	s.place = s.room.away.PushBack(s)
}

// back takes the Seat off the list of those that are away.
func (s *Seat) back() {
	if s.place != nil {
		s.room.away.Remove(s.place)
		s.place = nil
	}
}

// Leave ends the Seat. Its connection stays open.
func (s *Seat) Leave() { s.end(nil) }

func (s *Seat) end(err error) {
	r := s.room
	if s.index < 0 {
		return
	}
	s.back()
	s.drop(len(s.kept))
	last := len(r.seats) - 1
	r.seats[s.index] = r.seats[last]
	r.seats[s.index].index = s.index
	r.seats[last] = nil
	r.seats = r.seats[:last]
	s.index, s.conn = -1, nil
	delete(r.byID, s.key.id())
	if f := r.config.Left; f != nil {
		f(s, err)
	}
}
