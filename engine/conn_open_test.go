package engine_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAcceptRefusesWithAWord: what the accept function has written before it returns nil is sent,
// also if it has called Close, and if the connection was dialled.
func TestAcceptRefusesWithAWord(t *testing.T) {
	word := func(c *engine.Conn) engine.Protocol { c.Write([]byte("busy\n")); return nil }
	for name, accept := range map[string]func(*engine.Conn) engine.Protocol{
		"written": word,
		"and closed": func(c *engine.Conn) engine.Protocol {
			word(c)
			c.Close()
			return nil
		},
	} {
		s := serve(t, engine.Config{Loops: 2}, accept)
		c := s.dial(t)
		// Left unread, it would make the kernel send a reset.
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		c.CloseWrite()
		if b, err := io.ReadAll(c); string(b) != "busy\n" || err != nil {
			t.Errorf("%s: the peer got %q, %v", name, b, err)
		}
		eventually(t, "end", func() bool {
			st, err := s.Stats(context.Background())
			return err == nil && st.Closed[engine.CauseRefused] == 1
		})
	}

	s := serve(t, engine.Config{Loops: 1}, turnAway)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s.Dial(context.Background(), "tcp", ln.Addr().String(), engine.DialConfig{},
		func(c *engine.Conn, err error) engine.Protocol { return word(c) })
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(c); string(b) != "busy\n" || err != nil {
		t.Errorf("dialled: the peer got %q, %v", b, err)
	}
}
