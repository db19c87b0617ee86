package gnet_test

import (
	"context"
	"errors"
	"net"
	"testing"

	upstream "github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/engine/gnet"
)

// peek returns what c can be read from outside of OnTraffic.
func peek(t *testing.T, c gnet.Conn, loop upstream.EventLoop) string {
	t.Helper()
	found := make(chan string, 1)
	if err := loop.Execute(t.Context(), upstream.RunnableFunc(func(context.Context) error {
		b, _ := c.Peek(-1)
		found <- string(b)
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	s, _ := receive(t, found)
	return s
}

// TestInputBehindAPanic: if OnTraffic panicked, the input of a connection that was closing by then,
// or of a datagram, could be read later. It was in memory that had the bytes of other peers.
func TestInputBehindAPanic(t *testing.T) {
	t.Parallel()
	conns, ends := make(chan gnet.Conn, 1), make(chan string, 1)
	loops := make(chan upstream.EventLoop, 1)
	s := frameworks[1].serve(t, &handler{
		traffic: func(c gnet.Conn) gnet.Action {
			if b, _ := c.Peek(-1); string(b) != "panic" {
				c.Discard(-1)
				c.Write([]byte("ok"))
				return gnet.None
			}
			conns <- c
			loops <- c.EventLoop()
			c.EventLoop().Close(c)
			panic("OnTraffic")
		},
		closed: func(c gnet.Conn, _ error) gnet.Action {
			b, _ := c.Peek(-1)
			select {
			case ends <- string(b):
			default:
			}
			return gnet.None
		},
	}, []string{"tcp://127.0.0.1:0"})
	other := s.dial()
	other.send("before")
	other.expect("ok")
	p := s.dial()
	p.send("panic")
	c, _ := receive(t, conns)
	loop, _ := receive(t, loops)
	other.send("a secret")
	other.expect("ok")
	if found := peek(t, c, loop); found != "" {
		t.Errorf("a connection that has ended can read %q", found)
	}
}

func TestInputOfADatagramBehindAPanic(t *testing.T) {
	t.Parallel()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	got, woken := make(chan bool, 2), make(chan string, 1)
	cl, err := gnet.NewClient(gnet.Adapt(&handler{
		traffic: func(c gnet.Conn) gnet.Action {
			b, _ := c.Peek(-1)
			if string(b) == "panic" {
				got <- true
				panic(errors.New("OnTraffic"))
			}
			woken <- string(b)
			return gnet.None
		},
	}), gnet.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := cl.Start(); err != nil {
		t.Fatal(err)
	}
	defer cl.Stop()
	c, err := cl.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AsyncWrite([]byte("hello"), nil); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	_, from, err := server.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	server.WriteTo([]byte("panic"), from)
	receive(t, got)
	if found := peek(t, c, c.EventLoop()); found != "" {
		t.Errorf("outside of OnTraffic: %q", found)
	}
}
