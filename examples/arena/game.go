package main

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/engine"
)

const (
	rate    = 30 // ticks and snapshots per second
	grace   = 10 * time.Second
	maxName = 16 // characters
	maxTop  = 8  // ships on the board
	maxFeed = 4  // kills on the board
)

// game is the world and its room. Everything happens on the room's loop.
type game struct {
	room    *room.Room
	world   *world
	figures *figures
	begin   time.Time // of the world's clock
	frame   []byte
	feed    []kill
}

// hello is a client's first message: who it is, or which seat it had, and how many text messages it
// has got there.
type hello struct {
	Name  string `json:"name"`
	Bot   bool   `json:"bot"`
	Token string `json:"token"`
	Have  uint64 `json:"have"`
}

// event is a numbered message.
type event struct {
	Type  string            `json:"type"` // you, back, name, left, kill, death
	New   bool              `json:"new,omitempty"`
	ID    uint16            `json:"id"`
	Name  string            `json:"name,omitempty"`
	Token string            `json:"token,omitempty"`
	World int               `json:"world,omitempty"`
	Score int               `json:"score,omitempty"`
	Names map[uint16]string `json:"names,omitempty"`
}

type kill struct {
	By string `json:"by"`
	Of string `json:"of"`
}

func newGame(eng *engine.Engine) (*game, error) {
	g := &game{world: newWorld(uint64(time.Now().UnixNano())), figures: newFigures(), begin: time.Now()}
	g.world.killed = g.killed
	var err error
	g.room, err = room.New(eng, room.Config{
		Tick: g.tick, Period: time.Second / rate, Grace: grace, MaxSeats: 1000, Left: g.left,
	})
	return g, err
}

// now is the clock of snapshots.
func (g *game) now() time.Duration { return time.Since(g.begin) }

// tick computes the world anew and sends everybody what is in sight.
func (g *game) tick(r *room.Room, t room.Tick) {
	begin := g.now()
	at := begin - t.Late()               // when the tick was due
	for range min(t.Skipped, rate) + 1 { // after a longer stop the world goes on where it was
		g.world.step(1.0 / rate)
	}
	for s := range r.Seats() {
		c := s.Conn()
		if c == nil || c.Pressure() == engine.OverHighWater {
			continue // it gets a newer one when it has caught up
		}
		g.frame = appendSnapshot(g.frame[:0], g.world, shipOf(s), at)
		c.Send(websocket.Binary, g.frame) // an error means that it is closing
		g.figures.sent(len(g.frame))
	}
	g.figures.ticked(t.Late(), g.now()-begin, t.Skipped)
	if g.figures.ticks%rate == 0 {
		g.board()
	}
}

// message is the callback Message.
func (g *game) message(c *websocket.Conn, op websocket.Opcode, data []byte) {
	g.figures.received++
	s, ok := c.Value.(*room.Seat)
	switch {
	case ok && op == websocket.Binary:
		if in, got, ok := parseInput(data); ok {
			shipOf(s).input = in
			s.Acknowledge(got)
		}
	case !ok && op == websocket.Text:
		var h hello
		if json.Unmarshal(data, &h) != nil {
			c.Close(websocket.InvalidPayload, "malformed JSON")
			return
		}
		g.enter(c, h)
	default:
		c.Close(websocket.PolicyViolation, "unexpected message")
	}
}

// enter gives a client the ship that it had, or a new one.
func (g *game) enter(c *websocket.Conn, h hello) {
	if s, missed, err := g.room.Resume(c, h.Token, h.Have); err == nil && missed == 0 {
		c.Value = s
		player := shipOf(s)
		player.away = false
		g.send(s, event{Type: "back", ID: player.id, Name: player.name, Score: player.score})
		return
	} else if err == nil { // too much happened meanwhile
		s.Leave()
	}
	s, err := g.room.Join(c)
	if err != nil {
		c.Close(websocket.TryAgainLater, "the arena is full")
		return
	}
	player := g.world.add(clean(h.Name), h.Bot)
	s.Value, c.Value = player, s
	names := make(map[uint16]string)
	for o := range g.room.Seats() {
		player := shipOf(o)
		names[player.id] = player.name
	}
	g.send(s, event{Type: "you", New: true, ID: player.id, Name: player.name, Token: s.Token(), World: worldSize,
		Names: names})
	g.tell(event{Type: "name", ID: player.id, Name: player.name})
}

func shipOf(s *room.Seat) *ship { return s.Value.(*ship) }

// lost is the callback Close.
func (g *game) lost(c *websocket.Conn, err error) {
	if s, ok := c.Value.(*room.Seat); ok {
		if s.Conn() == c {
			shipOf(s).away = true
		}
		s.Lost(c, err)
	}
}

// left is called when a player does not come back.
func (g *game) left(s *room.Seat, _ error) {
	player := shipOf(s)
	g.world.remove(player)
	g.tell(event{Type: "left", ID: player.id})
}

// killed tells the two of it.
func (g *game) killed(by, of *ship) {
	g.feed = append(g.feed, kill{by.name, of.name})
	g.feed = g.feed[max(len(g.feed)-maxFeed, 0):]
	for s := range g.room.Seats() {
		switch s.Value {
		case by:
			g.send(s, event{Type: "kill", ID: of.id, Name: of.name})
		case of:
			g.send(s, event{Type: "death", ID: by.id, Name: by.name})
		}
	}
}

func (g *game) send(s *room.Seat, e event) {
	if b, err := json.Marshal(e); err == nil {
		s.Send(websocket.Text, b)
	}
}

// tell is send to all.
func (g *game) tell(e event) {
	if b, err := json.Marshal(e); err == nil {
		g.room.SendAll(websocket.Text, b)
	}
}

// board sends everybody the scores and the figures, once per second.
func (g *game) board() {
	type row struct {
		ID    uint16 `json:"id"`
		Name  string `json:"name"`
		Score int    `json:"score"`
	}
	board := struct {
		Players int     `json:"players"`
		Bots    int     `json:"bots"`
		Top     []row   `json:"top"`
		Feed    []kill  `json:"feed"`
		Figures *sample `json:"figures"`
	}{Feed: g.feed}
	for _, s := range g.world.ships {
		if s == nil {
			continue
		}
		board.Top = append(board.Top, row{s.id, s.name, s.score})
		if s.bot {
			board.Bots++
		} else {
			board.Players++
		}
	}
	slices.SortFunc(board.Top, func(a, b row) int { return b.Score - a.Score })
	board.Top = board.Top[:min(len(board.Top), maxTop)]
	board.Figures = g.figures.sample()
	b, err := json.Marshal(board)
	if err != nil {
		return
	}
	g.figures.latest.Store(&b)
	g.room.Broadcast(websocket.Binary, append([]byte{kindBoard}, b...), engine.SlowDropOldest)
}

// clean returns a name that can be shown.
func clean(name string) string {
	name = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, name)), " ")
	for utf8.RuneCountInString(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name == "" {
		name = "nobody"
	}
	return name
}
