package main

import (
	"math"
	"math/rand/v2"
)

// The world is a square. Its unit is about a pixel.
const (
	worldSize  = 3200
	maxSpeed   = 270 // per second
	shotSpeed  = 640
	shotLife   = 1.1 // seconds
	reload     = 0.24
	shipRadius = 18
	orbRadius  = 10
	maxHealth  = 5
	healTime   = 3.0 // seconds for a point of health
	deadTime   = 1.6
	killScore  = 10
	orbs       = 420
)

// ship is a player's. It stays in the world while its player is away, and cannot be hit then.
type ship struct {
	id     uint16
	name   string
	bot    bool
	x, y   float64
	vx, vy float64
	aim    float64 // radians
	health float64
	score  int
	wait   float64 // until it can shoot
	dead   float64 // until it comes back; 0: it is alive
	away   bool

	input input
}

// input is what a player wants, as of its last message.
type input struct {
	seq    uint16
	dx, dy float64 // -1 to 1
	aim    float64
	fire   bool
}

type shot struct {
	id     uint16
	x, y   float64
	vx, vy float64
	life   float64
	owner  *ship
}

type orb struct{ x, y float64 }

// world has no lock: it belongs to the loop of its room.
type world struct {
	rng   *rand.Rand
	ships []*ship // by id; nil: free
	shots []shot
	orbs  [orbs]orb
	shotN uint16

	shipGrid, shotGrid, orbGrid grid

	killed func(by, of *ship)
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), killed: func(_, _ *ship) {}}
	for i := range w.orbs {
		w.orbs[i] = orb{w.anywhere(), w.anywhere()}
	}
	return w
}

func (w *world) anywhere() float64 { return 60 + w.rng.Float64()*(worldSize-120) }

// add puts a new ship somewhere. It returns nil if the world is full.
func (w *world) add(name string, bot bool) *ship {
	id := 0
	for id < len(w.ships) && w.ships[id] != nil {
		id++
	}
	if id > math.MaxUint16 {
		return nil
	}
	if id == len(w.ships) {
		w.ships = append(w.ships, nil)
	}
	s := &ship{id: uint16(id), name: name, bot: bot, x: w.anywhere(), y: w.anywhere(), health: maxHealth}
	w.ships[id] = s
	return s
}

func (w *world) remove(s *ship) { w.ships[s.id] = nil }

// step lets dt seconds pass.
func (w *world) step(dt float64) {
	w.shipGrid.reset()
	for i, s := range w.ships {
		if s == nil {
			continue
		}
		w.move(s, dt)
		if s.dead == 0 {
			w.shipGrid.add(i, s.x, s.y)
		}
	}
	w.orbGrid.reset()
	for i, o := range w.orbs {
		w.orbGrid.add(i, o.x, o.y)
	}
	for _, s := range w.ships {
		if s != nil && s.dead == 0 && !s.away {
			w.collect(s)
		}
	}
	w.fly(dt)
}

func (w *world) move(s *ship, dt float64) {
	if s.dead > 0 {
		if s.dead = max(s.dead-dt, 0); s.dead == 0 {
			s.x, s.y, s.vx, s.vy, s.health = w.anywhere(), w.anywhere(), 0, 0, maxHealth
		}
		return
	}
	in := s.input
	if s.away {
		in = input{aim: s.aim}
	}
	follow := min(dt*7, 1)
	s.vx += (in.dx*maxSpeed - s.vx) * follow
	s.vy += (in.dy*maxSpeed - s.vy) * follow
	s.x = min(max(s.x+s.vx*dt, shipRadius), worldSize-shipRadius)
	s.y = min(max(s.y+s.vy*dt, shipRadius), worldSize-shipRadius)
	s.aim = in.aim
	s.health = min(s.health+dt/healTime, maxHealth)
	if s.wait = max(s.wait-dt, 0); s.wait == 0 && in.fire {
		s.wait = reload
		sin, cos := math.Sincos(s.aim)
		w.shotN++
		w.shots = append(w.shots, shot{w.shotN, s.x + cos*shipRadius, s.y + sin*shipRadius,
			cos*shotSpeed + s.vx/2, sin*shotSpeed + s.vy/2, shotLife, s})
	}
}

// collect gives s the orbs that it touches.
func (w *world) collect(s *ship) {
	const reach = shipRadius + orbRadius
	for i := range w.orbGrid.near(s.x-reach, s.y-reach, s.x+reach, s.y+reach) {
		o := &w.orbs[i]
		if within(o.x-s.x, o.y-s.y, reach) {
			s.score++
			*o = orb{w.anywhere(), w.anywhere()}
		}
	}
}

// fly moves the shots, and lets them hit.
func (w *world) fly(dt float64) {
	kept := w.shots[:0]
	for _, b := range w.shots {
		b.x, b.y, b.life = b.x+b.vx*dt, b.y+b.vy*dt, b.life-dt
		if b.life > 0 && b.x > 0 && b.y > 0 && b.x < worldSize && b.y < worldSize && !w.hits(&b) {
			kept = append(kept, b)
		}
	}
	clear(w.shots[len(kept):])
	w.shots = kept
	w.shotGrid.reset()
	for i := range w.shots {
		w.shotGrid.add(i, w.shots[i].x, w.shots[i].y)
	}
}

func (w *world) hits(b *shot) bool {
	for i := range w.shipGrid.near(b.x-shipRadius, b.y-shipRadius, b.x+shipRadius, b.y+shipRadius) {
		s := w.ships[i]
		if s == b.owner || s.dead > 0 || s.away || !within(s.x-b.x, s.y-b.y, shipRadius) {
			continue
		}
		if s.health--; s.health < 0.5 {
			s.dead, s.score = deadTime, s.score-s.score/4
			b.owner.score += killScore
			w.killed(b.owner, s)
		}
		return true
	}
	return false
}

func within(dx, dy, reach float64) bool { return dx*dx+dy*dy <= reach*reach }
