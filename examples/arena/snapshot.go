package main

import (
	"encoding/binary"
	"math"
	"time"
)

// What the server sends in binary messages is live: a client that is away does not get it. What it
// sends in text messages is numbered: see room.Seat.Send. All numbers are little-endian.
const (
	kindSnapshot = 1 // see appendSnapshot
	kindBoard    = 2 // followed by JSON: scores, latest kills, figures

	kindInput = 1 // of a client: see parseInput
)

// sight is how far a player sees, from the middle to each side.
const (
	sightX = 820
	sightY = 640
)

// perUnit is the resolution of positions in a snapshot.
const perUnit = 16

// appendSnapshot appends what s sees:
//
//	1 kindSnapshot
//	4 the time of the world, in units of 0.1 ms
//	2 the number of the player's last input
//	2 the ship's id, 2 its score, 1 its health in tenths of the maximum, 0 if it is dead
//	2 x and 2 y of the middle, in units of 1/16
//	1 the number of ships, each 8: id, x, y, 1 aim, 1 health and, at 128, that it is away
//	1 the number of shots, each 6: id, x, y
//	1 the number of orbs, each 6: id, x, y
func appendSnapshot(b []byte, w *world, s *ship, at time.Duration) []byte {
	b = append(b, kindSnapshot)
	b = binary.LittleEndian.AppendUint32(b, uint32(at/(100*time.Microsecond)))
	b = appendShorts(b, s.input.seq, s.id, uint16(min(s.score, math.MaxUint16)))
	b = append(b, healthOf(s))
	b = appendShorts(b, fixed(s.x), fixed(s.y))
	x0, y0, x1, y1 := s.x-sightX, s.y-sightY, s.x+sightX, s.y+sightY
	sees := func(x, y float64) bool { return x >= x0 && x <= x1 && y >= y0 && y <= y1 }

	count := len(b)
	b = append(b, 0)
	for i := range w.shipGrid.near(x0, y0, x1, y1) {
		if o := w.ships[i]; o.dead == 0 && sees(o.x, o.y) && b[count] < math.MaxUint8 {
			b[count]++
			state := healthOf(o)
			if o.away {
				state |= 128
			}
			b = append(appendShorts(b, o.id, fixed(o.x), fixed(o.y)), angle(o.aim), state)
		}
	}
	count = len(b)
	b = append(b, 0)
	for i := range w.shotGrid.near(x0, y0, x1, y1) {
		if o := &w.shots[i]; sees(o.x, o.y) && b[count] < math.MaxUint8 {
			b[count]++
			b = appendShorts(b, o.id, fixed(o.x), fixed(o.y))
		}
	}
	count = len(b)
	b = append(b, 0)
	for i := range w.orbGrid.near(x0, y0, x1, y1) {
		if o := &w.orbs[i]; sees(o.x, o.y) && b[count] < math.MaxUint8 {
			b[count]++
			b = appendShorts(b, uint16(i), fixed(o.x), fixed(o.y))
		}
	}
	return b
}

func appendShorts(b []byte, values ...uint16) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func fixed(v float64) uint16 { return uint16(min(max(v, 0), worldSize) * perUnit) }

// angle makes a byte of an angle in radians: 256 is a whole turn.
func angle(a float64) byte { return byte(int(math.Round(a/(2*math.Pi)*256)) & 255) }

func healthOf(s *ship) byte {
	if s.dead > 0 {
		return 0
	}
	return byte(max(math.Round(s.health/maxHealth*10), 1))
}

// inputLen is the length of an input.
const inputLen = 11

// parseInput reads what a client wants:
//
//	1 kindInput
//	2 the number of this input
//	4 the number of text messages that the client has got
//	1 and 1 the direction in which it wants to go, x and y, from -127 to 127
//	1 the angle at which it aims
//	1 whether it fires
func parseInput(b []byte) (in input, got uint64, ok bool) {
	if len(b) != inputLen || b[0] != kindInput {
		return in, 0, false
	}
	in.seq = binary.LittleEndian.Uint16(b[1:])
	in.dx, in.dy = float64(int8(b[7]))/127, float64(int8(b[8]))/127
	if length := math.Hypot(in.dx, in.dy); length > 1 {
		in.dx, in.dy = in.dx/length, in.dy/length
	}
	in.aim = float64(b[9]) / 256 * 2 * math.Pi
	in.fire = b[10] != 0
	return in, uint64(binary.LittleEndian.Uint32(b[3:])), true
}

func appendInput(b []byte, seq uint16, got uint32, dx, dy, aim float64, fire bool) []byte {
	b = appendShorts(append(b, kindInput), seq)
	b = binary.LittleEndian.AppendUint32(b, got)
	b = append(b, byte(int8(dx*127)), byte(int8(dy*127)), angle(aim), 0)
	if fire {
		b[len(b)-1] = 1
	}
	return b
}
