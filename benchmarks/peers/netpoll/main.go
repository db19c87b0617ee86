// Command netpoll is a TCP echo and broadcast server on github.com/cloudwego/netpoll.
//
// As its documentation shows, OnRequest takes all there is without a copy, and Flush writes it by
// one system call. The library chooses the number of pollers: one for a single processor.
package main

import (
	"context"
	"io"
	"log"
	"sync"

	"github.com/cloudwego/netpoll"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(false)
	netpoll.SetLoggerOutput(io.Discard) // it logs connections that peers close
	request, options := netpoll.OnRequest(echo), []netpoll.Option(nil)
	if o.Broadcast {
		var s server
		request, options = s.relay, append(options, netpoll.WithOnConnect(s.join))
	}
	loop, err := netpoll.NewEventLoop(request, options...)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(loop.Serve(peer.Listen(o)))
}

func echo(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	b, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	w.WriteBinary(b)
	err = w.Flush() // it waits until all is written
	r.Release()
	return err
}

type server struct {
	room peer.Room[*conn]
}

// conn is a connection to which one goroutine at a time may write.
type conn struct {
	netpoll.Connection
	mu sync.Mutex
}

func (s *server) join(ctx context.Context, c netpoll.Connection) context.Context {
	to := &conn{Connection: c}
	s.room.Join(to)
	c.AddCloseCallback(func(netpoll.Connection) error {
		s.room.Leave(to)
		return nil
	})
	return ctx
}

func (s *server) relay(_ context.Context, c netpoll.Connection) error {
	r := c.Reader()
	b, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	s.room.Each(func(to *conn) {
		to.mu.Lock()
		defer to.mu.Unlock()
		to.Writer().WriteBinary(b)
		to.Writer().Flush() // its reader sees errors
	})
	return r.Release()
}
