package room_test

import (
	"fmt"
	"strconv"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/engine"
)

// A game of one room: its state belongs to the loop, so there is no lock. A client that comes back
// with ?token=...&have=... within ten seconds finds its player as it was.
func Example() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	type player struct{ x, speed float64 }
	match, err := room.New(eng, room.Config{
		Period: time.Second / 30,
		Grace:  10 * time.Second,
		Tick: func(r *room.Room, t room.Tick) {
			var world []byte
			for s := range r.Seats() {
				p := s.Value.(*player)
				p.x += p.speed * t.Step.Seconds()
				world = strconv.AppendFloat(append(world, ' '), p.x, 'f', 2, 64)
			}
			r.Broadcast(websocket.Binary, world, engine.SlowDropOldest)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &websocket.Server{
		Rate:      &websocket.Rate{Messages: 60, Excess: websocket.DropExcess},
		Handshake: func(h *websocket.Handshake) { h.MoveTo(match.Loop()) },
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			seat, ok := c.Value.(*room.Seat)
			if !ok { // the first message is the token, or empty, and the number of the last message
				seat = enter(match, c, string(data))
				if seat != nil && seat.Value == nil {
					seat.Value = &player{speed: 1}
				}
				return
			}
			seat.Value.(*player).speed = float64(len(data))
		},
		Close: func(c *websocket.Conn, err error) {
			if seat, ok := c.Value.(*room.Seat); ok {
				seat.Lost(c, err)
			}
		},
	}
	_, err = eng.Listen("tcp", "127.0.0.1:0", server.AcceptWebSocket)
	fmt.Println(err)
	// Output: <nil>
}

// enter gives a connection its seat: a new one, or the one that it had.
func enter(match *room.Room, c *websocket.Conn, hello string) *room.Seat {
	var token string
	var have uint64
	fmt.Sscan(hello, &token, &have)
	seat, _, err := match.Resume(c, token, have)
	if err != nil { // it is new, or was away for too long
		if seat, err = match.Join(c); err != nil {
			c.Close(websocket.TryAgainLater, err.Error())
			return nil
		}
		seat.Send(websocket.Text, []byte(seat.Token()))
	}
	c.Value = seat
	return seat
}
