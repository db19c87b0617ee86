package engine_test

import (
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestShortageRefusesTheBacklog: of a full backlog, eight peers were refused in 100 ms. The others
// waited in silence, which may be longer than new ones come.
func TestShortageRefusesTheBacklog(t *testing.T) {
	n := sim.New(sim.Config{Seed: 1, Descriptors: 2}) // the listener's, and the spare one
	e, err := engine.NewOn(n, engine.Config{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	if err != nil {
		t.Fatal(err)
	}
	s := &simulated{Engine: e, net: n, ln: ln}
	s.Step()
	const peers = 500
	for range peers {
		n.Dial(ln.Addr())
	}
	if !s.until(t, 1500*time.Millisecond, func() bool {
		return s.StatsNow().Refused[engine.RefusedDescriptors] == peers
	}) {
		t.Errorf("%d of %d peers are refused", s.StatsNow().Refused[engine.RefusedDescriptors], peers)
	}
}
