package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestAdoptOfAReleasedConnection: a connection goes from a loop to a goroutine and back, several
// times, with bytes that were read, bytes that were only opened, and the beginning of a record.
// Adopt took plain sockets only.
func TestAdoptOfAReleasedConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		client func(*tls.Config)
	}{
		{name: "TLS 1.3"},
		{name: "TLS 1.2", client: tls12},
		{name: "standard", config: Config{StandardRecords: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.TLS = testConfig()
			e := run(t, engine.Config{Loops: 2})
			v := &visitor{t: t, engine: e, away: make(chan bool)}
			addr := listen(t, e, c.config, v.accept)
			raw := must(net.Dial("tcp", addr))
			held := &holding{Conn: raw}
			nc := tls.Client(held, changed(c.client))
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			if err := nc.Handshake(); err != nil {
				t.Fatal(err)
			}
			var sent []byte
			say := func(text string) {
				sent = append(sent, text...)
				nc.Write([]byte(text))
			}
			for range 3 {
				say("go ")
				<-v.away
				held.on.Store(true)
				held.kept = nil
				held.all = true
				say("read, and opened ")
				held.all = false
				say("in two parts ")
				whole := held.kept
				cut := len(whole) - 5
				raw.Write(whole[:cut]) // the goroutine gets it with one read
				<-v.away
				raw.Write(whole[cut:])
				held.on.Store(false)
				say("end.")
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("%q, error %v, want %q", got, err, sent)
				}
				sent = nil
			}
		})
	}
}

// visitor takes its connection away from the loop with "go", brings it back when some bytes have
// come, and echoes up to a full stop.
type visitor struct {
	t      *testing.T
	engine *engine.Engine
	conn   *engine.Conn
	away   chan bool
	back   bool
}

func (v *visitor) accept(c *engine.Conn) engine.Protocol {
	if s, _ := ConnectionState(c); !s.HandshakeComplete {
		v.t.Error("there is no TLS")
	}
	v.conn = c
	return v
}

func (v *visitor) Feed(src []byte) (int, error) {
	if v.back {
		v.conn.Write(src)
		v.back = !bytes.HasSuffix(src, []byte("."))
		return len(src), nil
	}
	v.conn.Release(func(nc net.Conn, unread, unsent []byte, err error) {
		go v.visit(nc, unread)
	})
	return 0, nil
}

func (v *visitor) visit(nc net.Conn, early []byte) {
	v.away <- true
	b := make([]byte, 5)
	if _, err := io.ReadFull(nc, b); err != nil {
		v.t.Error(err)
	}
	v.back = true
	if err := v.engine.Adopt(nc, append(early, b...), v.accept); err != nil {
		v.t.Error(err)
	}
	if _, err := nc.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		v.t.Errorf("Write after Adopt: %v", err)
	}
	if _, err := nc.Read(b); !errors.Is(err, net.ErrClosed) {
		v.t.Errorf("Read after Adopt: %v", err)
	}
	nc.Close()
	v.away <- true
}

func (v *visitor) Closed(error) {}

// TestAdoptAfterTheEnd: a connection that has ended one way or the other is not adopted as if it
// had not, and one whose peer has said all it wanted to is told.
func TestAdoptAfterTheEnd(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		released := make(chan net.Conn, 1)
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol { return &leaving{c, released} })
		begin := func() (*tls.Conn, net.Conn) {
			nc := dial(t, addr, testConfig())
			nc.Write([]byte("x"))
			c := <-released
			t.Cleanup(func() { c.Close() })
			return nc, c
		}
		closed := make(chan error, 3)
		accept := func(c *engine.Conn) engine.Protocol {
			return &echoing{conn: c, closed: func(err error) { closed <- err }}
		}

		peer, c := begin()
		peer.CloseWrite()
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("%d bytes, error %v", n, err)
		}
		if err := e.Adopt(c, nil, accept); err != nil {
			t.Fatal(err)
		}
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer gets %d bytes, error %v", n, err)
		}
		peer.Close()
		if err := <-closed; !errors.Is(err, engine.ErrPeerClosed) {
			t.Errorf("closed: %v", err)
		}

		_, c = begin()
		c.(interface{ CloseWrite() error }).CloseWrite()
		if err := e.Adopt(c, nil, accept); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after CloseWrite: %v", err)
		}
		peer, c = begin()
		c.SetWriteDeadline(time.Unix(1, 0))
		if n, err := c.Write([]byte("late")); n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a Write that has no time: %d bytes, error %v", n, err)
		}
		if err := e.Adopt(c, nil, accept); err != nil {
			t.Errorf("after that: %v", err)
		}
		if _, err := io.ReadFull(peer, make([]byte, 4)); err != nil {
			t.Errorf("after that: %v", err)
		}
		_, c = begin()
		c.SetReadDeadline(time.Unix(1, 0)) // as net/http does before it gives a connection away
		c.Read(make([]byte, 1))
		if err := e.Adopt(c, nil, accept); err != nil {
			t.Errorf("after a Read that had no time: %v", err)
		}
	}
}

// leaving releases its connection with the first bytes.
type leaving struct {
	conn     *engine.Conn
	released chan net.Conn
}

func (p *leaving) Feed(src []byte) (int, error) {
	p.conn.Release(func(nc net.Conn, _, _ []byte, _ error) { p.released <- nc })
	return len(src), nil
}

func (p *leaving) Closed(error) {}

// TestReleaseInTheAcceptFunction: whole records that had come by then were opened only when more
// came.
func TestReleaseInTheAcceptFunction(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol {
				c.Release(func(nc net.Conn, _, _ []byte, _ error) {
					go func() {
						defer nc.Close()
						io.Copy(nc, nc) // an error shows below
					}()
				})
				return &leaving{conn: c}
			})
		raw := must(net.Dial("tcp", addr))
		held := &holding{Conn: raw, all: true}
		nc := tls.Client(held, testConfig())
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		held.last = true
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		nc.Write([]byte("at once"))
		held.last = false
		raw.Write(held.kept) // the end of the handshake, and the message
		got := make([]byte, len("at once"))
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != "at once" {
			t.Errorf("standard %t: %q, error %v", standard, got, err)
		}
	}
}
