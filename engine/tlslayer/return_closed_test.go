package tlslayer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// leaver closes its half, and goes to a goroutine and back when that is done. What it then writes
// is refused by the layer, as a plain socket refuses it.
type leaver struct {
	t      *testing.T
	conn   *engine.Conn
	back   bool
	closes bool // when it has written
	reason chan error
}

func (l *leaver) Feed(b []byte) (int, error) {
	if string(b) == "close" {
		l.conn.CloseWrite()
		return len(b), nil
	}
	e := l.conn.Engine()
	return len(b), l.conn.Release(func(nc net.Conn, unread, _ []byte, err error) {
		if err == nil {
			err = e.Adopt(nc, unread, func(c *engine.Conn) engine.Protocol {
				if _, err := c.Write([]byte("lost")); err != nil {
					l.t.Error(err)
				}
				if l.closes {
					c.Close()
				}
				return &leaver{t: l.t, conn: c, back: true, reason: l.reason}
			})
		}
		if err != nil {
			l.t.Error(err)
		}
	})
}

func (l *leaver) Closed(err error) {
	if l.back {
		l.reason <- err
	}
}

// TestWriteAfterCloseWriteAndAdopt: Adopt does not know that the half is closed, so Write accepted
// bytes, which the layer dropped, and Closed did not tell.
func TestWriteAfterCloseWriteAndAdopt(t *testing.T) {
	for _, v := range []struct {
		name             string
		standard, closes bool
	}{
		{name: "open"}, {name: "open, standard", standard: true},
		{name: "closing", closes: true}, {name: "closing, standard", standard: true, closes: true},
	} {
		e := run(t, engine.Config{})
		reason := make(chan error, 1)
		config := Config{TLS: testConfig(), StandardRecords: v.standard}
		addr := listen(t, e, config, func(c *engine.Conn) engine.Protocol {
			return &leaver{t: t, conn: c, closes: v.closes, reason: reason}
		})
		nc := must(tls.Dial("tcp", addr, testConfig()))
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		nc.Write([]byte("close"))
		if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
			t.Errorf("%q, error %v", b, err)
		}
		nc.Write([]byte("release"))
		if v.closes {
			nc.CloseWrite()
		}
		var err error
		select {
		case err = <-reason:
		case <-time.After(10 * time.Second):
		}
		var unsent *engine.UnsentError
		if !errors.As(err, &unsent) || unsent.Bytes != 4 {
			t.Errorf("%s: closed with %v, want 4 bytes unsent", v.name, err)
		}
		nc.Close()
	}
}
