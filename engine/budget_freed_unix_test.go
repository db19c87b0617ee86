//go:build unix

package engine_test

import (
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestBudgetSeesWhatTheTurnHasFreed: a loop was over the limit when a turn ended. In the next one
// the connection that held all of it gave it back, before anybody was closed. What was left of the
// others was closed all the same.
func TestBudgetSeesWhatTheTurnHasFreed(t *testing.T) {
	const most = 1 << 20
	opened, fed := make(chan *laden, 2), make(chan int, 10)
	s := serve(t, engine.Config{Loops: 1, MaxBuffered: most}, func(c *engine.Conn) engine.Protocol {
		p := &laden{conn: c}
		p.feed = func(b []byte) (int, error) {
			fed <- len(b)
			if p.held > 0 {
				p.hold(-p.held)
				return len(b), nil
			}
			return 0, nil
		}
		opened <- p
		return p
	})
	small := s.dial(t)
	modest := receive(t, "connection", opened)
	ask := func(b string) {
		if _, err := small.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		receive(t, "Feed", fed)
	}
	ask("some")
	client := s.dial(t)
	large := receive(t, "connection", opened)
	s.Post(0, func() {
		large.hold(most + 1)
		client.Write([]byte("x")) // and the next poll delivers it
		for {
			n, _, err := syscall.Recvfrom(large.conn.FD(), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if n > 0 || err != syscall.EAGAIN && err != syscall.EINTR {
				break
			}
		}
	})
	receive(t, "Feed", fed)
	ask("more")
	for name, p := range map[string]*laden{"small": modest, "large": large} {
		if p.conn.Handle().Closed() {
			t.Errorf("the %s connection is closed, with nothing over the limit", name)
		}
	}
}
