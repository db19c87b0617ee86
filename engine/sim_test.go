package engine_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// A simulated run is a pure function of its seed: faults, traffic and the clock all come from it. A
// seed that fails is run again with ever fewer faults and clients (shrink), until only those are
// left that it takes to fail; these are printed, with a trace of what the network did then. The
// seed replays exactly:
//
//	MYRIAD_SEED=4711 go test ./engine -run TestSimulatedTCPEcho
//
// MYRIAD_SEEDS sets how many seeds are run.

const defaultSeeds = 400

// simulation is what a test does with one seed: it makes its network by trial.network and says what
// went wrong.
type simulation func(*trial) error

// trial is one run of a seed. Everything random in it comes from the seed, and as far as possible
// each client and each connection has a source of its own: without one of them the others should do
// what they did.
type trial struct {
	seed   uint64
	trace  int                // lines to keep
	record bool               // note what happened
	only   map[sim.Fault]bool // what may happen; nil: all
	fired  []firing
	net    *sim.Network
}

// firing is a fault that happened, or a client that came.
type firing struct {
	sim.Fault
	when time.Duration
}

func (tr *trial) network(c sim.Config) *sim.Network {
	c.Seed, c.Trace = tr.seed, tr.trace
	if tr.record {
		c.Keep = tr.keeps
	}
	tr.net = sim.New(c)
	return tr.net
}

// comes reports whether client i dials. For shrink that is a fault like the others.
func (tr *trial) comes(i int) bool {
	if tr.keeps(sim.Fault{Name: "Client", At: strconv.Itoa(i)}) {
		return true
	}
	tr.net.Skip()
	return false
}

func (tr *trial) keeps(f sim.Fault) bool {
	switch {
	case !tr.record:
	case tr.only != nil && !tr.only[f]:
		return false
	default:
		tr.fired = append(tr.fired, firing{f, tr.net.Now()})
	}
	return true
}

// run is s, for which a panic is a failure like others.
func (s simulation) run(tr *trial) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s(tr)
}

// simulate runs s with seeds 0 to n-1, or with the one that MYRIAD_SEED names. Each processor takes
// the next seed.
func simulate(t *testing.T, n uint64, s simulation) {
	t.Helper()
	first := uint64(0)
	if seed, ok := number(t, "MYRIAD_SEED"); ok {
		first, n = seed, seed+1
	}
	var (
		next   atomic.Uint64
		failed atomic.Bool
		all    sync.WaitGroup
	)
	next.Store(first)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1) - 1; seed < n && !failed.Load(); seed = next.Add(1) - 1 {
				if err := s.run(&trial{seed: seed}); err != nil && !failed.Swap(true) {
					t.Errorf("seed %d: %v\nreplay: MYRIAD_SEED=%d go test ./engine -run '^%s$'\n%s", seed, err, seed,
						t.Name(), s.shrunk(seed, err))
				}
			}
		})
	}
	all.Wait()
}

// seeds is how many are run: MYRIAD_SEEDS.
func seeds(t *testing.T) uint64 {
	t.Helper()
	if n, ok := number(t, "MYRIAD_SEEDS"); ok {
		return n
	}
	return defaultSeeds
}

func number(t *testing.T, variable string) (uint64, bool) {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n, true
}
