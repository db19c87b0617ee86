package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAdoptKeepsEveryByte: a connection that began on a goroutine goes on on a loop. What was read
// before comes first.
func TestAdoptKeepsEveryByte(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				early := make([]byte, 7)
				io.ReadFull(c, early)
				if err := s.Adopt(c, early, func(c *engine.Conn) engine.Protocol { return &small{c} }); err != nil {
					t.Errorf("%s: %v", network, err)
				}
				clear(early) // it was copied
				if _, err := c.Write(nil); !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: the net.Conn is still open: %v", network, err)
				}
			}
		}()
		c, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		ask(t, c, "early, and then late")
		ask(t, c, strings.Repeat("later still ", 5000))
	}
}

// TestAdoptFromHTTP takes a connection out of net/http.
func TestAdoptFromHTTP(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		early, _ := rw.Reader.Peek(rw.Reader.Buffered())
		if err := s.Adopt(c, early, func(c *engine.Conn) engine.Protocol {
			c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
			return &small{c}
		}); err != nil {
			t.Error(err)
		}
	}))
	defer web.Close()
	c, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\npipelined")
	want := "HTTP/1.1 101 Switching Protocols\r\n\r\npipelined"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
	ask(t, c, "and more")
}

func TestAdoptErrors(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	accept := func(c *engine.Conn) engine.Protocol { return &small{c} }
	pipe, _ := net.Pipe()
	if err := s.Adopt(pipe, nil, accept); err == nil || !strings.Contains(err.Error(), "net.TCPConn") {
		t.Errorf("a pipe: %v", err)
	}
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if err := s.Adopt(udp, nil, accept); err == nil {
		t.Error("a UDP socket was adopted")
	}
	c := s.dial(t)
	ask(t, c, "before")
	other := serve(t, engine.Config{Loops: 1}, accept)
	ask(t, other.dial(t), "it runs")
	other.Close()
	if err := other.Adopt(c, nil, accept); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	ask(t, c, "it is as it was")
}
