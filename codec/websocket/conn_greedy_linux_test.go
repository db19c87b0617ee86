package websocket_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestRestOfALargeMessageIsReadAtOnce: what comes while the loop is at the connection does not wait
// for the others' turns.
func TestRestOfALargeMessageIsReadAtOnce(t *testing.T) {
	frame := wsproto.AppendMasked(nil, websocket.Binary, 1, make([]byte, 64<<10))
	clients, order := make(chan *client, 1), make(chan string, 3)
	_, address := start(t, &websocket.Server{Piece: func(c *websocket.Conn, _ websocket.Opcode, _ []byte, last bool) {
		if last {
			order <- "rest"
			return
		}
		order <- "piece"
		c.Handle().Post(func(*websocket.Conn) { order <- "turn of others" })
		(<-clients).Write(frame[40_000:]) // over loopback it is there when Write returns
	}}, engine.Config{Loops: 1})
	c := dial(t, address)
	clients <- c
	c.Write(frame[:40_000])
	for _, want := range []string{"piece", "rest", "turn of others"} {
		if got := receive(t, "call", order); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

// TestNoMoreIsReadThanALargeMessage: the next one is begun when this one's memory is free.
func TestNoMoreIsReadThanALargeMessage(t *testing.T) {
	frame := wsproto.AppendMasked(nil, websocket.Binary, 1, make([]byte, 64<<10))
	shared := make([]byte, 1<<20)
	for name, s := range map[string]*websocket.Server{
		"in pieces": {Piece: func(*websocket.Conn, websocket.Opcode, []byte, bool) {}},
		"whole":     {Message: echo},
		"small":     {Message: echo, Piece: echoPieces, Limits: websocket.Limits{MaxWhole: 1 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan websocket.Handle, 1)
			s.Open = func(c *websocket.Conn) { opened <- c.Handle() }
			_, address := start(t, s, engine.Config{Loops: 1})
			c := dial(t, address)
			h := receive(t, "connection", opened)
			rooms := make(chan int, 1)
			for sent := 0; sent < len(frame)-100; {
				n := min(40_000, len(frame)-100-sent)
				c.Write(frame[sent : sent+n])
				sent += n
				deadline := time.Now().Add(patience)
				for room := 0; room == 0 || room > len(frame)-sent; room = receive(t, "answer", rooms) {
					if time.Now().After(deadline) {
						t.Fatalf("%d bytes may be read, %d are missing", room, len(frame)-sent)
					}
					h.Post(func(c *websocket.Conn) {
						rooms <- len(c.EngineConn().Protocol().(engine.Bufferer).InputBuffer(shared))
					})
				}
			}
		})
	}
}
