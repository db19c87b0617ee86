package tlslayer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// collecting notes what it gets, until it has want bytes.
type collecting struct {
	conn *engine.Conn
	want int
	got  []byte
	done chan []byte
}

func (p *collecting) Feed(src []byte) (int, error) {
	p.got = append(p.got, src...)
	if len(p.got) >= p.want {
		p.done <- p.got
		p.conn.Close()
	}
	return len(src), nil
}

func (p *collecting) Closed(error) {}

// TestDial has an engine talk to itself. The second connection resumes the session of the first.
func TestDial(t *testing.T) {
	e := run(t, engine.Config{Loops: 2})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	l := must(New(Config{TLS: changed(func(c *tls.Config) { sessions(c); c.ServerName = "" })}))
	dc := engine.DialConfig{Layer: l.Client("localhost")}
	for i := range 2 {
		message := pattern(300_000)
		got := make(chan []byte, 1)
		err := e.Dial(t.Context(), "tcp", addr, dc, func(c *engine.Conn, err error) engine.Protocol {
			if err != nil {
				t.Error(err)
				got <- nil
				return nil
			}
			if s, ok := ConnectionState(c); !ok || s.DidResume != (i > 0) || len(s.PeerCertificates) != 1 {
				t.Errorf("connection %d: resumed %t, %d certificates", i, s.DidResume, len(s.PeerCertificates))
			}
			c.Write(message)
			return &collecting{conn: c, want: len(message), done: got}
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(<-got, message) {
			t.Errorf("connection %d: other bytes came back", i)
		}
	}
	if s := l.Stats(); s.Succeeded != 2 || s.Resumed != 1 || s.Standard != 0 {
		t.Errorf("%+v", s)
	}
}

// TestDialFails has servers that do not suit, and one that leaves.
func TestDialFails(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
	leaving := must(net.Listen("tcp", "127.0.0.1:0"))
	defer leaving.Close()
	go func() {
		if nc, err := leaving.Accept(); err == nil {
			nc.Read(make([]byte, 100))
			nc.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, nc)
			nc.Close()
		}
	}()
	l := must(New(Config{TLS: changed(func(c *tls.Config) { c.ServerName = "" })}))
	for _, c := range []struct{ addr, name, want string }{
		{addr, "elsewhere", "certificate is valid for localhost, not elsewhere"},
		{leaving.Addr().String(), "localhost", "EOF"},
	} {
		failed := make(chan error, 1)
		err := e.Dial(t.Context(), "tcp", c.addr, engine.DialConfig{Layer: l.Client(c.name)},
			func(c *engine.Conn, err error) engine.Protocol {
				if c != nil {
					err = errors.New("connected")
				}
				failed <- err
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	waitFor(t, func() bool { return connections(e) == 0 })
}
