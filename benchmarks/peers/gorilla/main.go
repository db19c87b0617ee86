// Command gorilla is an echo and broadcast server on net/http and github.com/gorilla/websocket.
//
// It does what the library's documentation recommends for many connections: a pool of write
// buffers, so that only connections that write have one; WriteMessage, which sends a frame by one
// system call without compression; and PreparedMessage for a broadcast. It reads from NextReader
// into pooled buffers instead of calling ReadMessage, which grows a new buffer for each message.
package main

import (
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(true)
	s := &server{broadcast: o.Broadcast, upgrader: websocket.Upgrader{
		WriteBufferSize:   4096,
		WriteBufferPool:   new(sync.Pool),
		EnableCompression: o.Compress,
		CheckOrigin:       func(*http.Request) bool { return true },
	}}
	peer.ServeHTTP(o, s.serve)
}

type server struct {
	broadcast bool
	upgrader  websocket.Upgrader
	room      peer.Room[*conn]
}

// conn is a connection to which one goroutine at a time may write.
type conn struct {
	*websocket.Conn
	mu sync.Mutex
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	ws.SetReadLimit(peer.MaxMessage)
	// The handler returns, so that the connection keeps nothing of net/http.
	if s.broadcast {
		go s.relay(&conn{Conn: ws})
	} else {
		go echo(ws)
	}
}

func echo(ws *websocket.Conn) {
	defer ws.Close()
	for {
		op, r, err := ws.NextReader()
		if err != nil {
			return
		}
		b := peer.Buffer()
		if _, err = b.ReadFrom(r); err == nil {
			err = ws.WriteMessage(op, b.Bytes())
		}
		peer.Free(b)
		if err != nil {
			return
		}
	}
}

func (s *server) relay(c *conn) {
	defer c.Close()
	s.room.Join(c)
	defer s.room.Leave(c)
	for {
		op, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		message, err := websocket.NewPreparedMessage(op, data)
		if err != nil {
			return
		}
		s.room.Each(func(to *conn) {
			to.mu.Lock()
			defer to.mu.Unlock()
			to.WritePreparedMessage(message) // its reader sees errors
		})
	}
}
