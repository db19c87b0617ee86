//go:build unix

package engine_test

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestOneShareOfATurn: a connection that was resumed by something else than its input had a share
// of the turn for that, and another one for its input.
func TestOneShareOfATurn(t *testing.T) {
	const share = 8
	var (
		conn  *engine.Conn
		turns = make(map[uint64]int) // messages
		last  []uint64
		all   = make(chan bool)
		total int
	)
	s := serve(t, engine.Config{Loops: 1, TurnMessages: share}, func(c *engine.Conn) engine.Protocol {
		conn = c
		return &proto{feed: func(b []byte) (n int, err error) {
			turn := engine.Turns(c.Engine(), 0)
			for range b {
				turns[turn]++
				n++
				if total++; total == 4*share {
					close(all)
				}
				if total == share/2 {
					c.PauseRead()
				}
				if c.Yield() {
					break
				}
			}
			last = append(last, turn)
			return n, nil
		}}
	})
	client := s.dial(t)
	if _, err := client.Write(bytes.Repeat([]byte("m"), 2*share)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "pause", func() bool {
		paused := make(chan bool, 1)
		s.Post(0, func() { paused <- conn != nil && total > 0 && !conn.Reading() })
		return receive(t, "answer", paused)
	})
	s.Post(0, func() {
		// listed, and fed when the turn ends; in each of the next ones it has more
		conn.ResumeRead()
		client.Write(bytes.Repeat([]byte("m"), 2*share))
		for {
			n, _, err := syscall.Recvfrom(conn.FD(), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if n > 0 || err != syscall.EAGAIN && err != syscall.EINTR {
				break
			}
		}
		conn.Handle().Post(func(c *engine.Conn) { c.PauseRead(); c.ResumeRead() })
		conn.Handle().Post(func(c *engine.Conn) { c.PauseRead(); c.ResumeRead() })
	})
	receive(t, "all messages", all)
	done := make(chan bool)
	s.Post(0, func() {
		for turn, n := range turns {
			if n > share {
				t.Errorf("%d messages in turn %d, its share is %d", n, turn, share)
			}
		}
		close(done)
	})
	receive(t, "end", done)
}
