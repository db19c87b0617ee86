package engine_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

const (
	shrinkRuns  = 400         // most runs to shrink one seed
	shrinkTime  = time.Minute // nor do they begin after this
	shrinkTrace = 400         // lines of the last one that are printed
)

// shrunk runs a seed that fails with ever fewer faults and clients and says what is left.
func (s simulation) shrunk(seed uint64, failure error) string {
	first := &trial{seed: seed, record: true}
	if err := s.run(first); err == nil || kind(err) != kind(failure) {
		return fmt.Sprintf("not deterministic: the second run gives %v", err)
	}
	last, runs, err := s.least(first, failure)
	var b strings.Builder
	fmt.Fprintf(&b, "of %d faults and clients, %d are left after %d runs; with them: %v\nclients:", len(first.fired),
		len(last.fired), runs, err)
	for _, f := range last.fired {
		if f.Name == "Client" {
			fmt.Fprintf(&b, " %s", f.At)
		}
	}
	b.WriteString("\nfaults:\n")
	for _, f := range last.fired {
		if f.Name != "Client" {
			fmt.Fprintf(&b, "  %-12v %v\n", f.when, f.Fault)
		}
	}
	fmt.Fprintf(&b, "trace, no more than %d lines:\n%s", shrinkTrace, strings.Join(last.net.Trace(), "\n"))
	return b.String()
}

// least is the run with what the failure of first takes, after so many others.
func (s simulation) least(first *trial, failure error) (last *trial, runs int, err error) {
	begin := time.Now()
	more := func() bool { return runs < shrinkRuns && time.Since(begin) < shrinkTime }
	left := shrink(faultsOf(first), more, func(some []sim.Fault) ([]sim.Fault, bool) {
		runs++
		tr := &trial{seed: first.seed, record: true, only: set(some)}
		err := s.run(tr)
		return faultsOf(tr), err != nil && kind(err) == kind(failure)
	})
	last = &trial{seed: first.seed, record: true, only: set(left), trace: shrinkTrace}
	err = s.run(last)
	return last, runs, err
}

// shrink takes away from all, first all of it, then halves, quarters and so on down to single
// elements, as long as what is left fails (delta debugging: Zeller and Hildebrandt, Simplifying and
// Isolating Failure-Inducing Input, 2002). fails also says what it has used of what it got: the
// rest goes as well. It stops when more returns false.
func shrink(all []sim.Fault, more func() bool,
	fails func([]sim.Fault) (used []sim.Fault, failed bool)) []sim.Fault {
	for size := len(all); size > 0 && more(); {
		smaller := false
		for at := 0; at < len(all) && more(); {
			used, failed := fails(slices.Concat(all[:at], all[min(at+size, len(all)):]))
			if failed {
				all, smaller = used, true
			} else {
				at += size
			}
		}
		if size = min(size, len(all)); size > 1 || !smaller {
			size /= 2
		}
	}
	return all
}

// faultsOf is what happened in a run, with what is alike side by side: it tends to go together.
func faultsOf(tr *trial) (list []sim.Fault) {
	for _, f := range tr.fired {
		list = append(list, f.Fault)
	}
	slices.SortStableFunc(list, func(a, b sim.Fault) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.At, b.At))
	})
	return list
}

func set(faults []sim.Fault) map[sim.Fault]bool {
	m := make(map[sim.Fault]bool, len(faults))
	for _, f := range faults {
		m[f] = true
	}
	return m
}

var particulars = regexp.MustCompile(`(?s)\(.*|\n.*|[0-9]+`)

// kind is a failure without its figures, and without what follows in brackets or further lines.
func kind(err error) string { return particulars.ReplaceAllString(err.Error(), "") }

// forgetful loses a byte after its queue has drained. In the simulation nothing queues up without a
// fault: buffers are larger than what a client sends.
type forgetful struct {
	*tcpEcho
	drained bool
}

func (f *forgetful) Drained() { f.drained = true }

func (f *forgetful) Feed(b []byte) (int, error) {
	if !f.drained {
		return f.tcpEcho.Feed(b)
	}
	f.drained = false
	n, err := f.tcpEcho.Feed(b[1:])
	return n + 1, err
}

func TestShrinkFindsTheFault(t *testing.T) {
	broken := simulation(scenario{
		accept: func(r *run) func(*engine.Conn) engine.Protocol {
			return func(c *engine.Conn) engine.Protocol { return &forgetful{tcpEcho: newTCPEcho(r, c)} }
		},
		client: newTCPClient,
	}.run)
	shrinksTo(t, broken, [][]string{{"Client"}, {"ShortWrite", "WriteAgain", "SmallBuffer"}})
}

var errBoth = errors.New("both")

// TestShrinkKeepsWhatItTakesTogether wants two faults of different kinds.
func TestShrinkKeepsWhatItTakesTogether(t *testing.T) {
	both := simulation(func(tr *trial) error {
		err := tcpScenario.run(tr)
		if c := tr.net.Counts(); err == nil && c.ReadAgain > 0 && c.HalfClose > 0 {
			err = errBoth
		}
		return err
	})
	shrinksTo(t, both, [][]string{{"Client"}, {"ReadAgain"}, {"HalfClose"}})
}

// shrinksTo shrinks the first seeds with which s fails: what is left must be little, fail in the
// same way, contain one of each group, and nothing that can go.
func shrinksTo(t *testing.T, s simulation, groups [][]string) {
	t.Helper()
	failed := 0
	for seed := uint64(0); failed < 3; seed++ {
		if seed == 1000 {
			t.Fatalf("only %d of %d seeds fail", failed, seed)
		}
		first := &trial{seed: seed, record: true}
		failure := s.run(first)
		if failure == nil || len(first.fired) < 50 {
			continue
		}
		failed++
		last, runs, err := s.least(first, failure)
		t.Logf("seed %d: %v\n%d faults and clients, after %d runs %v", seed, failure, len(first.fired), runs,
			last.fired)
		if err == nil || kind(err) != kind(failure) {
			t.Errorf("seed %d: it became %v", seed, err)
		}
		if len(last.fired) > 8 {
			t.Errorf("seed %d: %d are left", seed, len(last.fired))
		}
		for _, g := range groups {
			if !slices.ContainsFunc(last.fired, func(f firing) bool { return slices.Contains(g, f.Name) }) {
				t.Errorf("seed %d: there is none of %v", seed, g)
			}
		}
		for _, f := range last.fired {
			without := &trial{seed: seed, record: true, only: set(faultsOf(last))}
			delete(without.only, f.Fault)
			if err := s.run(without); err != nil && kind(err) == kind(failure) {
				t.Errorf("seed %d: %v can go", seed, f)
			}
		}
	}
}

// TestShrink looks for three of a hundred.
func TestShrink(t *testing.T) {
	var all, want []sim.Fault
	for i := range 100 {
		all = append(all, sim.Fault{Chance: i})
	}
	always := func() bool { return true }
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		for _, i := range rng.Perm(100)[:3] {
			want = append(want, all[i])
		}
		runs := 0
		left := shrink(all, always, func(some []sim.Fault) ([]sim.Fault, bool) {
			runs++
			m := set(some)
			return some, m[want[0]] && m[want[1]] && m[want[2]]
		})
		if len(left) != 3 || runs > 60 {
			t.Errorf("%v are left of %v after %d runs", left, want, runs)
		}
		want = want[:0]
	}
	never := func() bool { return false }
	if left := shrink(all, never, func([]sim.Fault) ([]sim.Fault, bool) { return nil, true }); len(left) != 100 {
		t.Errorf("%d of 100 are left when there is no time", len(left))
	}
	if left := shrink(all, always, func(some []sim.Fault) ([]sim.Fault, bool) { return nil, true }); len(left) != 0 {
		t.Errorf("%v are left without need", left)
	}
	if left := shrink(all, always, func(some []sim.Fault) ([]sim.Fault, bool) { return nil, false }); len(left) != 100 {
		t.Errorf("only %d of 100 that it takes are left", len(left))
	}
}
