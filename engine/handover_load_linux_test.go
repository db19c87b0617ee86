package engine_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestFailedLoadIsLogged: the old process counts such a connection as moved, and the new one has no
// Protocol to tell, so nobody else would hear why its clients are cut.
func TestFailedLoadIsLogged(t *testing.T) {
	no := errors.New("written by another version")
	for _, test := range []struct {
		name string
		load engine.Loader
		want string // in the log of the new process; "": nothing
	}{
		{name: "error", want: no.Error(),
			load: func(*engine.Conn, []byte) (engine.Protocol, error) { return nil, no }},
		{name: "no Protocol", want: "no Protocol from Load",
			load: func(*engine.Conn, []byte) (engine.Protocol, error) { return nil, nil }},
		{name: "closed with a reason", want: no.Error(),
			load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
				c.CloseWith(no)
				return loadMover(c, state)
			}},
		{name: "closed in order",
			load: func(c *engine.Conn, state []byte) (engine.Protocol, error) {
				c.Close()
				return loadMover(c, state)
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			c := engine.Config{Loops: 1}
			g := begin(t, h, c, engine.ListenConfig{}, newMover)
			g.run()
			var conns [3]net.Conn
			for i := range conns {
				pos := uint64(0)
				conns[i] = dialTo(t, g.ln.String())
				talk(t, conns[i], &pos, 1)
			}
			h.Load = test.load
			next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
			for _, nc := range conns {
				if _, err := io.ReadAll(nc); err != nil {
					t.Errorf("%v, want an end in order", err)
				}
				nc.Close()
			}
			eventually(t, "end of the connections", func() bool { return stats(t, next.Engine).Connections == 0 })
			log := next.log.String()
			if got := strings.Count(log, "could not be loaded"); got != min(len(test.want), 1) {
				t.Errorf("%d messages", got)
			}
			if !strings.Contains(log, test.want) {
				t.Errorf("the reason is not in the log")
			}
			if t.Failed() {
				t.Logf("the log:\n%s", log)
			}
		})
	}
}

// TestFailedLoadFlushes: what the old process has written, and could not send, is not lost because
// the new one refuses the connection. Nobody would be told.
func TestFailedLoadFlushes(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB: more than the kernel takes
	h := engine.Handover{Path: handoverPath(t), Load: func(*engine.Conn, []byte) (engine.Protocol, error) {
		return nil, errors.New("no")
	}}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
		c.Write([]byte(big))
		return &mover{c: c}
	})
	g.run()
	nc := dialTo(t, g.ln.String())
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	next := g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	if got, err := io.ReadAll(nc); err != nil || string(got) != big[1:] {
		t.Errorf("%d bytes of %d, %v", 1+len(got), len(big), err)
	}
	nc.Close()
	eventually(t, "count of the refused connection", func() bool {
		s := stats(t, next.Engine)
		return s.Connections == 0 && s.Closed[engine.CauseRefused] == 1
	})
}
