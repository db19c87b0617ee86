package room_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// reader reads the subscriptions of a connection when that is lost.
type reader struct {
	hub  *topic.Hub
	seat *room.Seat
}

func (r *reader) Flushed(*websocket.Conn) {}

func (r *reader) Closed(c *websocket.Conn, err error) {
	at := make(map[string]topic.Position)
	r.hub.Subscriptions(c, func(name string, p topic.Position) { at[name] = p })
	r.seat.Value = at
	r.seat.Lost(c, err)
}

// TestSubscriptionsOfALostConnection: a Seat keeps what its client had subscribed to, as the
// documentation of the package says. In the callback Close the Hub has forgotten it.
func TestSubscriptionsOfALostConnection(t *testing.T) {
	e := running(t)
	r, err := room.New(e, room.Config{Grace: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	hub := &topic.Hub{Options: func(string) topic.Options { return topic.Options{History: 10} }}
	seats, lost := make(chan *room.Seat, 1), make(chan struct{}, 1)
	server := &websocket.Server{
		Open: func(c *websocket.Conn) {
			seat, err := r.Join(c)
			if err != nil {
				t.Error(err)
			}
			if err := c.Attach(&reader{hub, seat}); err != nil {
				t.Error(err)
			}
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				if err := hub.Subscribe(c, name); err != nil {
					t.Error(err)
				}
			}
			seats <- seat
		},
		Close: func(*websocket.Conn, error) { lost <- struct{}{} },
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	c, err := wsconn.Dial(t.Context(), "ws://"+ln.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	seat := receive(t, "seat", seats)
	if err := hub.Publish("a", websocket.Text, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	receive(t, "end", lost)
	kept := make(chan map[string]topic.Position, 1)
	r.Post(func() { kept <- seat.Value.(map[string]topic.Position) })
	all := receive(t, "subscriptions", kept)
	if len(all) != 6 || all["a"].Seq != 1 || all["b"].Seq != 0 {
		t.Errorf("subscriptions %v", all)
	}
}
