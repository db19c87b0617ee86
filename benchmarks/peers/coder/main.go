// Command coder is an echo and broadcast server on net/http and github.com/coder/websocket.
//
// The library has no settings for buffers or pools. This server uses no compression; a context that
// cannot end, because one that can costs time in each call; Reader into pooled buffers instead of
// Read, which grows a new buffer for each message; and Write, which sends a frame by one system
// call. The library cannot encode a message once for many connections.
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
	// The handler returns, so that the connection keeps nothing of net/http.
	if s.broadcast {
		go s.relay(c)
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

func (s *server) relay(c *websocket.Conn) {
	defer c.CloseNow()
	s.room.Join(c)
	defer s.room.Leave(c)
	ctx := context.Background()
	for {
		op, data, err := c.Read(ctx)
		if err != nil {
			return
		}
		s.room.Each(func(to *websocket.Conn) { to.Write(ctx, op, data) }) // its reader sees errors
	}
}
