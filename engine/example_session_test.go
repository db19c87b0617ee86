package engine_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// game is the state of one UDP socket. Only the socket's loop touches it, so it needs no lock.
type game struct {
	socket  *engine.PacketConn
	players map[*gamer]bool
}

// gamer is a SessionProtocol: one peer of the game.
type gamer struct {
	game    *game
	session *engine.Session
}

// Datagram gets whatever is sent to the port. A session that begins with garbage is closed.
func (g *gamer) Datagram(b []byte) {
	if !g.game.players[g] && string(b) != "join" {
		g.session.Close()
		return
	}
	g.game.players[g] = true
	g.session.Write([]byte("welcome"))
}

// Shutdown implements engine.Shutdowner.
func (g *gamer) Shutdown() { g.session.Write([]byte("goodbye")) }

func (g *gamer) Closed(reason error) { delete(g.game.players, g) }

// remind sends something to all players from time to time. (For a steady tick, a goroutine with a
// time.Ticker would call PacketListener.Post.)
func (g *game) remind() {
	for p := range g.players {
		p.session.Write([]byte("your turn"))
	}
	g.socket.AfterFunc(10*time.Millisecond, g.remind)
}

// A UDP game that has a timer, and takes leave of its players when the engine shuts down. The
// function that Accept returns is wrapped in one that knows the socket.
func ExampleSessionConfig_Accept() {
	sessions := engine.SessionConfig{IdleTimeout: 10 * time.Second, MaxSessions: 1000}
	accept := func(socket *engine.PacketConn) engine.PacketProtocol {
		g := &game{socket: socket, players: make(map[*gamer]bool)}
		g.remind()
		return sessions.Accept(func(s *engine.Session) engine.SessionProtocol {
			return &gamer{game: g, session: s}
		})(socket)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	pl, err := e.ListenPacket("udp", "127.0.0.1:0", accept)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()

	c, err := net.Dial("udp", pl.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "join")
	b := make([]byte, 100)
	for _, want := range []string{"welcome", "your turn", "goodbye"} {
		got := ""
		for got != want {
			n, err := c.Read(b)
			if err != nil {
				log.Fatal(err)
			}
			got = string(b[:n])
		}
		fmt.Println(got)
		if got == "your turn" {
			cancel()
		}
	}
	fmt.Println(<-done)
	// Output:
	// welcome
	// your turn
	// goodbye
	// <nil>
}
