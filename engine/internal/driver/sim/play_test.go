package sim_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestBenignNetworkLosesNothing(t *testing.T) {
	for seed := range uint64(50) {
		_, clients := play(t, sim.Config{Seed: seed, Trace: 50}, 1)
		for _, c := range clients {
			if !c.EOF() || len(c.got) != len(c.sent) {
				t.Fatalf("seed %d: %d bytes of %d, %v", seed, len(c.got), len(c.sent), c.Err())
			}
		}
	}
}

func TestFaultsLoseNothing(t *testing.T) {
	for seed := range uint64(150) {
		cfg := sim.Config{Seed: seed, Faults: sim.DrawFaults(seed).Lossless(), Trace: 50, Completion: seed%5 == 0}
		_, clients := play(t, cfg, 1+int(seed%2))
		for _, c := range clients {
			if !c.EOF() || len(c.got) != len(c.sent) {
				t.Fatalf("seed %d: %d bytes of %d, %v", seed, len(c.got), len(c.sent), c.Err())
			}
		}
	}
}

// TestFaults lets everything go wrong. Each side must still get a prefix of what the other one
// sent, all of it if the end is clean, and every kind of fault must happen.
func TestFaults(t *testing.T) {
	var sum sim.Counts
	total := reflect.ValueOf(&sum).Elem()
	for seed := range uint64(150) {
		cfg := sim.Config{Seed: seed, Faults: sim.DrawFaults(seed), Trace: 50, Completion: seed%5 == 0}
		n, _ := play(t, cfg, 1+int(seed%2))
		counts := reflect.ValueOf(n.Counts())
		for i := range counts.NumField() {
			total.Field(i).SetInt(total.Field(i).Int() + counts.Field(i).Int())
		}
	}
	for i := range total.NumField() {
		name := total.Type().Field(i).Name
		if slices.Contains([]string{"Wakes", "Shortages", "Lose", "Double", "Disorder", "BlackHole", "SelfConnect",
			"Yields"}, name) {
			continue // other tests have these
		}
		if total.Field(i).Int() == 0 {
			t.Errorf("%s never happened", name)
		}
	}
	t.Logf("%+v", sum)
}

func TestReplay(t *testing.T) {
	trace := func(seed uint64) []string {
		n, _ := play(t, sim.Config{Seed: seed, Faults: sim.DrawFaults(seed), Trace: 1 << 20}, 2)
		return n.Trace()
	}
	different := 0
	for seed := range uint64(30) {
		first, again := trace(seed), trace(seed)
		if len(first) == 0 || !slices.Equal(first, again) {
			t.Fatalf("seed %d: %d lines, then %d other ones", seed, len(first), len(again))
		}
		if !slices.Equal(first, trace(seed+1000)) {
			different++
		}
	}
	if different != 30 {
		t.Errorf("%d of 30 pairs of seeds differ", different)
	}
}

func BenchmarkPlay(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		seed++
		play(b, sim.Config{Seed: seed, Faults: sim.DrawFaults(seed).Lossless()}, 1)
	}
}
