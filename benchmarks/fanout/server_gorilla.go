//go:build linux

package main

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// gorillaHub is a hub as users of gorilla/websocket write it, after the chat of its examples: one
// goroutine owns the topics, and each client has a goroutine that reads, a goroutine that writes,
// and a channel of what to write. A client whose channel is full is dropped.
type gorillaHub struct {
	register, unregister chan *gorillaClient
	published            chan gorillaMessage
	count                atomic.Int64
}

type gorillaMessage struct {
	topic string
	data  []byte
}

type gorillaClient struct {
	topic string
	conn  *websocket.Conn
	send  chan []byte
}

// The times and sizes of that example.
const (
	gorillaWriteWait = 10 * time.Second
	gorillaPongWait  = time.Minute
	gorillaPing      = gorillaPongWait * 9 / 10
	gorillaQueue     = 256
	gorillaBuffer    = 1024
)

func newGorilla(c serverConfig) (server, error) {
	h := &gorillaHub{
		register:   make(chan *gorillaClient),
		unregister: make(chan *gorillaClient),
		published:  make(chan gorillaMessage),
	}
	go h.run()
	return h, serveHTTP(c.addr, h)
}

// serveHTTP serves on another goroutine.
func serveHTTP(addr string, h http.Handler) error {
	ln, err := net.Listen("tcp", addr)
	if err == nil {
		go http.Serve(ln, h)
	}
	return err
}

func (h *gorillaHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{ReadBufferSize: gorillaBuffer, WriteBufferSize: gorillaBuffer}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &gorillaClient{r.URL.Path[1:], conn, make(chan []byte, gorillaQueue)}
	h.register <- c
	go c.write()
	go c.read(h)
}

func (h *gorillaHub) publish(name string, data []byte) error {
	h.published <- gorillaMessage{name, data}
	return nil
}

func (h *gorillaHub) subscriptions() int { return int(h.count.Load()) }

func (h *gorillaHub) run() {
	topics := make(map[string]map[*gorillaClient]bool)
	leave := func(c *gorillaClient) {
		if topics[c.topic][c] {
			delete(topics[c.topic], c)
			close(c.send)
			h.count.Add(-1)
		}
	}
	for {
		select {
		case c := <-h.register:
			if topics[c.topic] == nil {
				topics[c.topic] = make(map[*gorillaClient]bool)
			}
			topics[c.topic][c] = true
			h.count.Add(1)
		case c := <-h.unregister:
			leave(c)
		case m := <-h.published:
			for c := range topics[m.topic] {
				select {
				case c.send <- m.data:
				default:
					leave(c)
				}
			}
		}
	}
}

func (c *gorillaClient) read(h *gorillaHub) {
	defer c.conn.Close()
	c.conn.SetReadLimit(512)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(gorillaPongWait)) }
	alive("")
	c.conn.SetPongHandler(alive)
	for {
		if _, _, err := c.conn.ReadMessage(); err != nil {
			h.unregister <- c
			return
		}
	}
}

// write writes what waits by one message, each on a line.
func (c *gorillaClient) write() {
	ping := time.NewTicker(gorillaPing)
	defer ping.Stop()
	defer c.conn.Close()
	for {
		var err error
		select {
		case data, ok := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(gorillaWriteWait))
			if !ok {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			err = c.writeLines(data)
		case <-ping.C:
			c.conn.SetWriteDeadline(time.Now().Add(gorillaWriteWait))
			err = c.conn.WriteMessage(websocket.PingMessage, nil)
		}
		if err != nil {
			return
		}
	}
}

func (c *gorillaClient) writeLines(first []byte) error {
	w, err := c.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		return err
	}
	w.Write(first)
	for range len(c.send) {
		w.Write([]byte{'\n'})
		w.Write(<-c.send)
	}
	return w.Close()
}
