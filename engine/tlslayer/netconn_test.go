package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestRelease hands a connection to a goroutine, in the middle of a record of the peer's and with
// bytes that are not sent.
func TestRelease(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		ended := make(chan error, 1)
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol { return &releasing{conn: c, ended: ended} })
		raw := must(net.Dial("tcp", addr))
		held := &holding{Conn: raw}
		nc := tls.Client(held, testConfig())
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		if err := nc.Handshake(); err != nil {
			t.Fatal(err)
		}
		nc.Write([]byte("release me"))
		held.on.Store(true) // the rest of this record comes after the release
		nc.Write([]byte("to the goroutine"))
		first := make([]byte, releasedBytes)
		if _, err := io.ReadFull(nc, first); err != nil || !bytes.Equal(first, pattern(releasedBytes)) {
			t.Fatalf("standard %t: error %v", standard, err)
		}
		held.on.Store(false)
		raw.Write(held.kept)
		message := pattern(200_000)
		go func() {
			nc.Write(message)
			nc.CloseWrite()
		}()
		got, err := io.ReadAll(nc)
		want := append([]byte("release me, to the goroutine"), message...)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("standard %t: %d bytes of %d, error %v", standard, len(got), len(want), err)
		}
		if err := <-ended; err != nil {
			t.Errorf("standard %t: %v", standard, err)
		}
		nc.Close()
	}
}

// releasedBytes is more than the kernel takes at once.
const releasedBytes = 8 << 20

// releasing releases its connection with the first bytes, and echoes in a goroutine.
type releasing struct {
	conn  *engine.Conn
	ended chan error
}

func (p *releasing) Feed(src []byte) (int, error) {
	p.conn.Write(pattern(releasedBytes))
	p.conn.Release(func(nc net.Conn, unread, unsent []byte, err error) {
		go func() {
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			nc.Write(append(unsent, unread...)) // an error shows below
			nc.Write([]byte(", "))
			_, err := io.Copy(nc, nc)
			p.ended <- err
		}()
	})
	return 0, nil
}

func (p *releasing) Closed(error) {}

// holding keeps back what is written while it is on, but for the first half of the first record.
type holding struct {
	net.Conn
	on   atomic.Bool
	all  bool // of the first record as well
	last bool // all that comes behind the ClientHello
	said bool // the ClientHello
	kept []byte
}

func (c *holding) Write(b []byte) (int, error) {
	if !c.on.Load() && !(c.last && c.said) {
		c.said = true
		return c.Conn.Write(b)
	}
	half := len(b) / 2
	if len(c.kept) > 0 || c.all {
		half = 0
	}
	if _, err := c.Conn.Write(b[:half]); err != nil {
		return 0, err
	}
	c.kept = append(c.kept, b[half:]...)
	return len(b), nil
}

// TestWriteGoesOnAfterItsDeadline: a released connection was lost when a Write had not enough time,
// so that a slow client of net/http was cut however steadily it went on.
func TestWriteGoesOnAfterItsDeadline(t *testing.T) {
	for _, standard := range []bool{false, true} {
		e := run(t, engine.Config{Loops: 1})
		released := make(chan net.Conn, 1)
		addr := listen(t, e, Config{TLS: testConfig(), StandardRecords: standard},
			func(c *engine.Conn) engine.Protocol { return &leaving{c, released} })
		peer := dial(t, addr, testConfig())
		peer.Write([]byte("x"))
		c := <-released
		message := pattern(16 << 20)
		got := make(chan []byte, 1)
		deadlines := 0
		for n := 0; n < len(message) || deadlines == 0; {
			c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			k, err := c.Write(message[n:])
			n += k
			if err == nil {
				break
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || deadlines > 1000 {
				t.Fatalf("standard %t: %d bytes, error %v", standard, n, err)
			}
			if deadlines++; deadlines == 3 { // nobody has read so far
				go func() {
					b, _ := io.ReadAll(peer) // an error shows below
					got <- b
				}()
			}
		}
		c.Close()
		if b := <-got; !bytes.Equal(b, message) || deadlines < 3 {
			t.Errorf("standard %t: %d bytes of %d, after %d deadlines", standard, len(b), len(message), deadlines)
		}
	}
}
