package tlslayer

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestReleasedByAPanicAfterASwap: a Protocol that replaced itself in Feed had consumed a part of
// what was opened. When the next one released the connection and panicked, the whole was taken for
// what was left: the engine's own code panicked, or gave away sealed bytes as plaintext.
func TestReleasedByAPanicAfterASwap(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind int // bytes of another record
	}{
		{"whole record", 0},
		{"beginning of a record", 900},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := run(t, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			unread := make(chan []byte, 1)
			addr := listen(t, e, Config{TLS: testConfig()}, func(conn *engine.Conn) engine.Protocol {
				return &swapping{conn: conn, next: &panicking{conn: conn, unread: unread}}
			})
			nc, r := rawDial(t, addr)
			waitFor(t, func() bool { return must(e.Stats(t.Context())).Handshakes > 0 })
			b := r.craft(nil, typeData, pattern(1000), 0)
			b = append(b, r.craft(nil, typeData, pattern(1000), 0)[:c.behind]...)
			nc.Write(b)
			select {
			case got := <-unread:
				if string(got) != string(pattern(1000)[999:]) {
					t.Errorf("%d bytes were handed over: %.20x, want the last", len(got), got)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the connection is not handed over")
			}
		})
	}
}

// TestReleasedByRecovered: the whole of what was opened was taken for what was left, which was
// less. The engine's own code panicked.
func TestReleasedByRecovered(t *testing.T) {
	e := run(t, engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	unread := make(chan []byte, 1)
	addr := listen(t, e, Config{TLS: testConfig()}, func(conn *engine.Conn) engine.Protocol {
		return &recovering{panicking{conn: conn, unread: unread}}
	})
	nc, r := rawDial(t, addr)
	waitFor(t, func() bool { return must(e.Stats(t.Context())).Handshakes > 0 })
	nc.Write(append(r.craft(nil, typeData, pattern(1000), 0), r.craft(nil, typeData, pattern(1000), 0)[:900]...))
	select {
	case got := <-unread:
		if string(got) != string(pattern(1000)) {
			t.Errorf("%d bytes were handed over: %.20x, want all of a record", len(got), got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the connection is not handed over")
	}
}

// recovering panics, and hands over the connection then.
type recovering struct{ panicking }

func (p *recovering) Feed([]byte) (int, error) { panic("on purpose") }

func (p *recovering) Recovered(*engine.PanicError) {
	defer func() { recover() }() // of Feed
	p.panicking.Feed(nil)
}

// swapping consumes all but a byte, and makes next the Protocol.
type swapping struct {
	conn *engine.Conn
	next engine.Protocol
}

func (p *swapping) Feed(src []byte) (int, error) {
	p.conn.SetProtocol(p.next)
	return len(src) - 1, nil
}

func (p *swapping) Closed(error) {}

// panicking hands over the connection, and panics.
type panicking struct {
	conn   *engine.Conn
	unread chan []byte
}

func (p *panicking) Feed([]byte) (int, error) {
	p.conn.Release(func(nc net.Conn, unread, _ []byte, err error) {
		if err == nil {
			nc.Close()
		}
		p.unread <- unread
	})
	panic("on purpose")
}

func (p *panicking) Closed(error) {}
