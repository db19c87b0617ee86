// Command coder is an echo and broadcast server of net/http and github.com/coder/websocket.
//
// The library has no buffers or pools to set. What is left to its user: compression off, a context that cannot end (one that can
// costs each call), Reader into pooled buffers in the place of Read, which allocates each message piecemeal, and Write, which sends
// one frame by one system call. It has no way to encode a message once for many.
package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(true)
	s := &server{broadcast: o.Broadcast, options: websocket.AcceptOptions{InsecureSkipVerify: true}}
	if o.Compress {
		s.options.CompressionMode = websocket.CompressionNoContextTakeover
	}
	peer.ServeHTTP(o, s.serve)
}

type server struct {
	broadcast bool
	options   websocket.AcceptOptions
	room      peer.Room[*websocket.Conn]
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &s.options)
	if err != nil {
		return
	}
	c.SetReadLimit(peer.MaxMessage)
	// The handler returns, so that nothing of net/http stays with the connection.
	if s.broadcast {
		go s.tell(c)
	} else {
		go echo(c)
	}
}

func echo(c *websocket.Conn) {
	defer c.CloseNow()
	ctx := context.Background()
	for {
		op, r, err := c.Reader(ctx)
		if err != nil {
			return
		}
		b := peer.Buffer()
		if _, err = b.ReadFrom(r); err == nil {
			err = c.Write(ctx, op, b.Bytes())
		}
		peer.Free(b)
		if err != nil {
			return
		}
	}
}

func (s *server) tell(c *websocket.Conn) {
	defer c.CloseNow()
	s.room.Join(c)
	defer s.room.Leave(c)
	ctx := context.Background()
	for {
		op, data, err := c.Read(ctx)
		if err != nil {
			return
		}
		s.room.Each(func(to *websocket.Conn) { to.Write(ctx, op, data) }) // an error is told to whoever reads
	}
}
