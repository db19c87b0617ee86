package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestLargeWriteThenCloseIsWhole: Close after a large Write must not truncate it.
func TestLargeWriteThenCloseIsWhole(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(big)
			c.Write([]byte("end"))
			c.Close()
			if _, err := c.Write([]byte("more")); !errors.Is(err, engine.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
			return len(b), nil
		}, closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	io.WriteString(c, "go and some input that is never read again")
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, append(big[:len(big):len(big)], "end"...)) {
		t.Fatalf("%d bytes arrived of %d", len(got), len(big)+3)
	}
	c.Close()
	if err := receive(t, "Closed", reasons); err != nil {
		t.Fatalf("reason %v, want none", err)
	}
}

// TestHalfCloseKeepsReply: a peer that sends, half-closes and then reads slowly gets the whole
// reply.
func TestHalfCloseKeepsReply(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	c := s.dial(t)
	const total = 8 << 20
	go func() {
		c.Write(bytes.Repeat([]byte("x"), total))
		c.CloseWrite()
	}()
	n, b := 0, make([]byte, 3000)
	for {
		k, err := c.Read(b)
		n += k
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if n != total {
		t.Fatalf("%d bytes came back of %d", n, total)
	}
}

// TestWritevIsWhole: nothing is dropped when the kernel takes a part.
func TestWritevIsWhole(t *testing.T) {
	head, body := bytes.Repeat([]byte("h"), 50_000), bytes.Repeat([]byte("b"), 5_000_000)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if n, err := c.Writev(head, body); n != len(head)+len(body) || err != nil {
				t.Errorf("Writev: %d, %v", n, err)
			}
			c.Writev([]byte("t"), nil, []byte("ail"))
			c.Close()
			return len(b), nil
		}}
	})
	c := s.dial(t)
	io.WriteString(c, "go")
	got, err := io.ReadAll(c)
	want := append(append(bytes.Clone(head), body...), "tail"...)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestCloseInAccept: closing a connection before it has begun.
func TestCloseInAccept(t *testing.T) {
	reasons := make(chan error, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.Write([]byte("sorry"))
		c.Close()
		return &proto{feed: func([]byte) (int, error) { panic("fed after Close") },
			closed: func(err error) { reasons <- err }}
	})
	c := s.dial(t)
	if got, err := io.ReadAll(c); string(got) != "sorry" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	c.Close()
	if err := receive(t, "Closed", reasons); err != nil {
		t.Fatal(err)
	}
}

func TestAcceptWithoutProtocolRefuses(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return nil })
	c, err := net.Dial("tcp", s.ln.String())
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		if _, err = c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection lives")
		}
	}
}

func TestSlowReaderIsNotReadFrom(t *testing.T) {
	var queued atomic.Int64
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			c.Write(b)
			queued.Store(max(queued.Load(), int64(c.Outbound())))
			return len(b), nil
		}}
	})
	c := s.dial(t)
	c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	sent := 0
	for b := make([]byte, 1<<20); ; { // until nobody takes it any more
		n, err := c.Write(b)
		sent += n
		if err != nil {
			break
		}
	}
	if q := queued.Load(); q > 1<<20 {
		t.Errorf("%d bytes queued for a peer that does not read", q)
	}
	c.CloseWrite()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c); int(n) != sent || err != nil {
		t.Fatalf("%d bytes came back of %d: %v", n, sent, err)
	}
}

// TestWritevIsOneWriteForTheLimits: all of it is accepted, however large, or nothing.
func TestWritevIsOneWriteForTheLimits(t *testing.T) {
	const limit = 4000
	var conn *engine.Conn
	var reason error
	s := onSim(t, sim.Config{Seed: 1, Buffer: 100}, engine.Config{Loops: 1, MaxOutbound: limit},
		func(c *engine.Conn) engine.Protocol {
			conn = c
			c.Write(make([]byte, 1000))
			return &proto{closed: func(err error) { reason = err }}
		})
	s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return conn != nil && conn.Pressure() == engine.Queued })
	part := make([]byte, limit)
	s.InTurn(0, func() {
		if n, err := conn.Writev(part, part, part); n != 3*limit || err != nil {
			t.Errorf("Writev: %d, %v", n, err)
		}
		before := conn.Outbound()
		if n, err := conn.Writev(part, part); n != 0 || !errors.Is(err, engine.ErrOutboundLimit) ||
			conn.Outbound() != before {
			t.Errorf("Writev over the limit: %d, %v", n, err)
		}
	})
	s.until(t, time.Second, func() bool { return reason != nil })
	if !errors.Is(reason, engine.ErrOutboundLimit) {
		t.Errorf("reason %v", reason)
	}
}
