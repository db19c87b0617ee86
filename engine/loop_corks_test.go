package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestBroadcastWhileMuchIsLeftNeedsFewCorks: connections whose input is left for another turn are
// listed. What was written to them did not count as a cork, and others that were written to did not
// either until all those before them in the list were passed: each had one of 64 KiB.
func TestBroadcastWhileMuchIsLeftNeedsFewCorks(t *testing.T) {
	const peers, most = 1000, 10 << 20
	for name, toBusy := range map[string]bool{"to those": true, "to others": false} {
		t.Run(name, func(t *testing.T) {
			used, sent := 0, 0
			var s *simulated
			var reason error
			to := make(map[*engine.Conn]bool)
			config := engine.Config{Loops: 1, TurnMessages: 1, MaxBuffered: 32 << 20, Logger: quiet}
			s = onSim(t, sim.Config{Seed: 1}, config,
				func(c *engine.Conn) engine.Protocol {
					return &proto{feed: func(b []byte) (n int, err error) {
						switch b[0] {
						case 'o':
							to[c] = !toBusy
						case 'b':
							to[c] = toBusy
						case 't':
							for o, is := range to {
								if is {
									o.Write(b)
									sent++
								}
							}
							used = max(used, s.Memory())
						}
						c.Yield()
						return 1, nil
					}, closed: func(err error) { reason = err }}
				})
			connect := func(n int) (all []*sim.Peer) {
				for range n {
					all = append(all, s.net.Dial(s.ln.Addr()))
				}
				want := s.StatsNow().Connections + n
				s.until(t, time.Second, func() bool { return s.StatsNow().Connections == want })
				return all
			}
			busy, others := connect(peers), connect(peers)
			talker := connect(1)[0]
			for _, p := range others {
				p.Send([]byte("o"))
			}
			for _, p := range busy {
				p.Send(append([]byte("b"), make([]byte, 500)...))
			}
			s.until(t, time.Second, func() bool { return len(to) == 2*peers })
			for range 3 {
				s.Step()
			}
			talker.Send([]byte("t"))
			for range 20 {
				s.Step()
			}
			if sent != peers || used > most || reason != nil {
				t.Errorf("sent to %d, %d MiB were used; one has ended: %v", sent, used>>20, reason)
			}
		})
	}
}
