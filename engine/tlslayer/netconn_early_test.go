package tlslayer

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestReleaseBehindTheLastRecord releases a connection whose peer has ended its half already, and
// still waits for the answer. The loop has opened that record; no byte follows it.
func TestReleaseBehindTheLastRecord(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol { return &leavingLate{c} })
		nc := dial(t, addr, testConfig())
		nc.Write([]byte("hello"))
		nc.CloseWrite() // which does not close the socket
		if got, err := io.ReadAll(nc); err != nil || string(got) != "hello" {
			t.Errorf("standard %t: %q, error %v", standard, got, err)
		}
	}
}

// leavingLate releases its connection when the peer has ended its half.
type leavingLate struct{ conn *engine.Conn }

func (p *leavingLate) Feed([]byte) (int, error) { return 0, nil }
func (p *leavingLate) ReadClosed()              { p.conn.Release(echoReleased) }
func (p *leavingLate) Closed(error)             {}

// echoReleased is for Conn.Release.
func echoReleased(nc net.Conn, unread, _ []byte, _ error) {
	go func() {
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		nc.Write(unread) // errors show at the peer
		io.Copy(nc, nc)
	}()
}

// TestReleaseInAcceptWithEarlyRecords releases a connection before anything was opened, with whole
// records that came together with the end of the handshake. No byte follows them.
func TestReleaseInAcceptWithEarlyRecords(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol {
				p := &leavingLate{c}
				c.Release(echoReleased)
				return p
			})
		raw := must(net.Dial("tcp", addr))
		last := &keeping{Conn: raw}
		nc := tls.Client(last, testConfig())
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		nc.Write([]byte("early"))
		nc.CloseWrite()
		raw.SetDeadline(time.Now().Add(20 * time.Second)) // CloseWrite has set another
		raw.Write(last.kept)
		if got, err := io.ReadAll(nc); err != nil || string(got) != "early" {
			t.Errorf("standard %t: %q, error %v", standard, got, err)
		}
	}
}

// keeping keeps all that is written but the first.
type keeping struct {
	net.Conn
	begun bool
	kept  []byte
}

func (c *keeping) Write(b []byte) (int, error) {
	if !c.begun {
		c.begun = true
		return c.Conn.Write(b)
	}
	c.kept = append(c.kept, b...)
	return len(b), nil
}
