package tlslayer

import (
	"errors"
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestCloseNotifyGoesWithTheLastData: the end of a connection cost a system call and a packet of
// its own.
func TestCloseNotifyGoesWithTheLastData(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		size   int
		writes uint64
		end    func(*engine.Conn)
	}{
		{name: "Close", size: 100, writes: 1, end: (*engine.Conn).Close},
		{name: "CloseWrite", size: 100, writes: 1, end: (*engine.Conn).CloseWrite},
		{name: "four records", size: 50_000, writes: 1, end: (*engine.Conn).Close},
		{name: "an error of Feed", size: 100, writes: 1,
			end: func(c *engine.Conn) { c.CloseWith(errors.New("enough")) }},
		{name: "standard", config: Config{StandardRecords: true}, size: 100, writes: 1, end: (*engine.Conn).Close},
		{name: "nothing to say", writes: 1, end: (*engine.Conn).Close},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := run(t, engine.Config{Loops: 1})
			c.config.TLS = testConfig()
			addr := listen(t, e, c.config, func(conn *engine.Conn) engine.Protocol {
				return &answering{conn: conn, size: c.size, end: c.end}
			})
			nc := dial(t, addr, testConfig())
			waitFor(t, func() bool { return must(e.Stats(t.Context())).Handshakes > 0 })
			before := must(e.Stats(t.Context())).Writes
			nc.Write([]byte("x"))
			got, err := io.ReadAll(nc) // io.EOF only behind close_notify
			if err != nil || len(got) != c.size {
				t.Errorf("%d bytes of %d, error %v", len(got), c.size, err)
			}
			if n := must(e.Stats(t.Context())).Writes - before; n != c.writes {
				t.Errorf("%d writes, want %d", n, c.writes)
			}
		})
	}
}

// answering answers once, and ends.
type answering struct {
	conn *engine.Conn
	size int
	end  func(*engine.Conn)
}

func (p *answering) Feed(src []byte) (int, error) {
	p.conn.Write(pattern(p.size))
	p.end(p.conn)
	return len(src), nil
}

func (p *answering) ReadClosed()  { p.conn.Close() }
func (p *answering) Closed(error) {}
