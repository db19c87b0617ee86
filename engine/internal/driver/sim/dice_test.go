package sim_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestKeep checks that asking about faults changes nothing, that keeping the faults of a run gives
// the same run, and that keeping none gives a run without faults.
func TestKeep(t *testing.T) {
	for seed := range uint64(30) {
		with := func(keep func(sim.Fault) bool) (*sim.Network, []string) {
			cfg := sim.Config{Seed: seed, Faults: sim.DrawFaults(seed), Trace: 1 << 20, Completion: seed%5 == 0,
				Keep: keep}
			n, _ := play(t, cfg, 2)
			return n, n.Trace()
		}
		fired := map[sim.Fault]bool{}
		_, plain := with(nil)
		_, asked := with(func(f sim.Fault) bool {
			if fired[f] {
				t.Errorf("seed %d: %v twice", seed, f)
			}
			fired[f] = true
			return true
		})
		_, again := with(func(f sim.Fault) bool { return fired[f] })
		if !slices.Equal(plain, asked) || !slices.Equal(plain, again) {
			t.Fatalf("seed %d: %d, %d and %d lines", seed, len(plain), len(asked), len(again))
		}
		noted := 0
		for _, line := range plain {
			if strings.Contains(line, "fault: ") {
				noted++
			}
		}
		if noted != len(fired) {
			t.Errorf("seed %d: %d faults in the trace, %d happened", seed, noted, len(fired))
		}
		n, _ := with(func(sim.Fault) bool { return false })
		counts := n.Counts()
		for i, v := 0, reflect.ValueOf(counts); i < v.NumField(); i++ {
			name := v.Type().Field(i).Name
			if _, isFault := reflect.TypeFor[sim.Faults]().FieldByName(name); isFault && v.Field(i).Int() != 0 {
				t.Errorf("seed %d: %s happened", seed, name)
			}
		}
	}
}

// TestFaultsAreIndependent checks that what happens to one connection does not depend on which
// faults another one is spared.
func TestFaultsAreIndependent(t *testing.T) {
	faults := sim.Faults{ReadAgain: 0.3, ShortRead: 0.3, Interrupt: 0.3, SpuriousWritable: 0.3, Delay: 0.3}
	run := func(spared string) (fired []sim.Fault, held int) {
		s := newScript(t, sim.Config{Faults: faults, Keep: func(f sim.Fault) bool {
			if strings.HasPrefix(f.At, spared) {
				held++
				return false
			}
			fired = append(fired, f)
			return true
		}})
		_, _, one := s.pair(driver.Read)
		_, _, two := s.pair(driver.Read)
		for range 100 {
			one.Send([]byte("one"))
			two.Send([]byte("two"))
			s.poll(0)
		}
		first := one.Local().String()
		return slices.DeleteFunc(fired, func(f sim.Fault) bool { return strings.HasPrefix(f.At, first) }), held
	}
	all, _ := run("nobody")
	two, held := run("192.0.2.1:20001")
	slices.SortFunc(all, func(a, b sim.Fault) int { return strings.Compare(a.String(), b.String()) })
	slices.SortFunc(two, func(a, b sim.Fault) int { return strings.Compare(a.String(), b.String()) })
	if len(all) < 50 || held < 50 || !slices.Equal(all, two) {
		t.Errorf("%d held back:\n%v\n%v", held, all, two)
	}
}
