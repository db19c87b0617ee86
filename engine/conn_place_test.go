package engine_test

import (
	"net"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestPlaceLeftBeforeTheLoopRuns: when Adopt has returned nil, Leave does nothing, also if the loop
// has not got the connection yet. So a deferred Leave is safe.
func TestPlaceLeftBeforeTheLoopRuns(t *testing.T) {
	released := make(chan net.Conn, 1)
	places := make(chan *engine.Place, 1)
	s := serve(t, engine.Config{Loops: 1}, turnAway)
	ln, err := engine.ListenConfig{MaxConnections: 1}.Listen(s.Engine, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol {
			places <- c.KeepPlace()
			c.Release(func(nc net.Conn, _, _ []byte, err error) { released <- nc })
			return &small{c}
		})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	nc, place := receive(t, "connection", released), receive(t, "place", places)
	defer nc.Close()
	if err := (engine.AdoptConfig{Loop: new(99), Place: place}).Adopt(s.Engine, nc, nil, turnAway); err == nil {
		t.Fatal("a loop that is not there has adopted a connection")
	}

	held, resume := make(chan struct{}), make(chan struct{})
	s.Post(0, func() { close(held); <-resume })
	<-held
	opened := make(chan *engine.Conn, 1)
	err = engine.AdoptConfig{Place: place}.Adopt(s.Engine, nc, nil, func(c *engine.Conn) engine.Protocol {
		opened <- c
		return &small{c}
	})
	if err != nil {
		t.Fatal(err)
	}
	place.Leave()
	close(resume)
	adopted := receive(t, "adopted connection", opened)
	if n := ln.Counted(); n != 1 {
		t.Errorf("the listener counts %d connections: want the one that was adopted", n)
	}
	adopted.Handle().Close()
	c.Close()
	eventually(t, "free place", func() bool { return ln.Counted() == 0 })
}

// TestPlaceOfNothing: the zero Place is that of a listener that does not count, as nil is.
func TestPlaceOfNothing(t *testing.T) {
	new(engine.Place).Leave()
	s := serve(t, engine.Config{Loops: 1}, turnAway)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan bool, 1)
	err = engine.AdoptConfig{Place: new(engine.Place)}.Adopt(s.Engine, nc, nil, func(*engine.Conn) engine.Protocol {
		opened <- true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, "connection", opened)
}
