package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestStatsDoNotCountAllTasks: a million that waited made the loop count for 160 ms.
func TestStatsDoNotCountAllTasks(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, echoes)
	s.Step()
	for range 20_000 {
		s.Post(0, func() {})
	}
	if n := s.StatsNow().Tasks; n != 1<<14 {
		t.Errorf("%d tasks were counted", n)
	}
}
