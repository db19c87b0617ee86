package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log"
	"math"
	"math/rand/v2"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

var botNames = []string{"Ada", "Grace", "Edsger", "Barbara", "Dennis", "Radia", "Leslie", "Margaret", "Alan", "Frances",
	"Niklaus", "Katherine", "Tony", "Hedy", "Claude", "Adele", "Donald", "Jean", "Ken", "Sophie"}

// startBots connects clients that play by themselves, as any other program would: over the socket.
func startBots(ctx context.Context, eng *engine.Engine, g *game, url string, n int) error {
	cl := &websocket.Client{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if b, ok := c.Value.(*bot); ok {
				b.message(c, op, data)
			}
		},
	}
	for i := range n {
		b := &bot{game: g, rng: rand.New(rand.NewPCG(uint64(i), 2))}
		name := botNames[i%len(botNames)]
		err := cl.Dial(ctx, eng, url, func(c *websocket.Conn, err error) {
			if err != nil {
				log.Print("arena: bot: ", err)
				return
			}
			c.Value = b
			text, _ := json.Marshal(hello{Name: name, Bot: true})
			c.Send(websocket.Text, text)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bot goes for the next orb, and shoots at whom it sees.
type bot struct {
	game   *game
	rng    *rand.Rand
	got    uint32 // text messages
	frames int
	seq    uint16
	wander float64
}

// botPeriod is how many snapshots a bot gets for each input of its own.
const botPeriod = 3

func (b *bot) message(c *websocket.Conn, op websocket.Opcode, data []byte) {
	switch {
	case op == websocket.Text:
		b.got++
	case len(data) > 16 && data[0] == kindSnapshot:
		at := time.Duration(binary.LittleEndian.Uint32(data[1:])) * 100 * time.Microsecond
		b.game.figures.age.add(b.game.now() - at)
		if b.frames++; b.frames%botPeriod == 0 {
			b.act(c, data)
		}
	}
}

// act reads a snapshot: see appendSnapshot.
func (b *bot) act(c *websocket.Conn, data []byte) {
	short := func(at int) float64 { return float64(binary.LittleEndian.Uint16(data[at:])) / perUnit }
	id := binary.LittleEndian.Uint16(data[7:])
	x, y := short(12), short(14)
	at := 16
	closest := func(size int, mine bool) (dx, dy float64, found bool) {
		best := math.Inf(1)
		for n := int(data[at]); n > 0; n-- {
			p := at + 1 + (n-1)*size
			px, py := short(p+2)-x, short(p+4)-y
			if d := px*px + py*py; d < best && (!mine || binary.LittleEndian.Uint16(data[p:]) != id) {
				best, dx, dy, found = d, px, py, true
			}
		}
		at += 1 + int(data[at])*size
		return dx, dy, found
	}
	ex, ey, enemy := closest(8, true)
	closest(6, false) // shots
	ox, oy, orb := closest(6, false)

	b.wander += b.rng.NormFloat64() * 0.3
	dx, dy := math.Cos(b.wander), math.Sin(b.wander)
	distance := math.Hypot(ex, ey)
	switch {
	case enemy && distance < 170: // keep away, and circle
		dx, dy = -ex/distance-ey/distance, -ey/distance+ex/distance
	case orb:
		d := math.Hypot(ox, oy) + 1
		dx, dy = ox/d, oy/d
	case enemy:
		dx, dy = ex/distance, ey/distance
	}
	if length := math.Hypot(dx, dy); length > 1 {
		dx, dy = dx/length, dy/length
	}
	aim := math.Atan2(dy, dx)
	if enemy {
		aim = math.Atan2(ey, ex) + b.rng.NormFloat64()*0.16
	}
	b.seq++
	var buf [inputLen]byte
	// An error means that it is closing.
	c.Send(websocket.Binary, appendInput(buf[:0], b.seq, b.got, dx, dy, aim, enemy && distance < 460))
}
