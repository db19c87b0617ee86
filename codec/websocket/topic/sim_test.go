package topic

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// The simulator runs Hubs of several nodes on loops that a test turns, with peers that are slow or
// go, and a Broker that loses and delays. Everything that is random comes from a seed.

// world is one run of the simulator.
type world struct {
	t     testing.TB
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	alarm []*simTimer
	nodes []*simNode
	tasks []func() // of Hub.async, and late answers of History
	logs  map[string]*simLog
	rules map[string]Options
	calm  bool // no more faults
	whole bool // the history has everything, so there must be no gaps
	local bool // the Hub's own Broker
	trace []string
	loops int
	lost  int
}

type simNode struct {
	w      *world
	hub    *Hub
	broker *simBroker
	loops  []*simLoop
	peers  []*simPeer
}

// simLoop is a loop whose tasks are run by the test.
type simLoop struct {
	key   int
	queue []func()
	ended bool
}

func (l *simLoop) post(f func()) error {
	if l.ended {
		return ErrClosed
	}
	l.queue = append(l.queue, f)
	return nil
}

type simTimer struct {
	when time.Time
	f    func()
}

func (t *simTimer) Stop() bool { t.f = nil; return true }

func (w *world) Now() time.Time { return w.now }
func (w *world) AfterFunc(d time.Duration, f func()) stopper {
	t := &simTimer{w.now.Add(d), f}
	w.alarm = append(w.alarm, t)
	return t
}

// advance moves the clock, and fires timers.
func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	for i := 0; i < len(w.alarm); i++ {
		if t := w.alarm[i]; t.f == nil || !t.when.After(w.now) {
			w.alarm = append(w.alarm[:i], w.alarm[i+1:]...)
			i = -1
			if t.f != nil {
				t.f()
			}
		}
	}
}

var simNames = []string{"t0", "t1", "t2", "t3"}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1e9, 0),
		logs: map[string]*simLog{}, rules: map[string]Options{}}
	w.whole, w.local = w.one(2), w.one(4)
	for _, name := range simNames {
		o := Options{Slow: w.policy(), Last: w.one(4), Presence: w.one(3)}
		switch {
		case w.whole:
			o.History, o.HistoryBytes = 1000, 1<<30
		case w.one(2):
			o.History = 1 + w.rng.IntN(20)
		}
		if w.one(2) {
			o.PresenceInterval = time.Duration(1+w.rng.IntN(3)) * time.Second
		}
		if w.one(4) {
			o.Conflate = true
			if w.one(2) {
				o.Interval = time.Duration(1+w.rng.IntN(3)) * time.Second
			}
		}
		w.rules[name] = o
		w.logs[name] = &simLog{epoch: 1, truth: map[Position]uint64{}}
	}
	nodes := 2
	if w.local {
		nodes = 1
	}
	for range nodes {
		n := &simNode{w: w}
		n.broker = &simBroker{node: n, queues: map[string][]func(){}, subscribed: map[string]bool{},
			epochs: map[string]uint64{}}
		n.hub = &Hub{Format: simFormat{}, clock: w, async: func(f func()) { w.tasks = append(w.tasks, f) },
			Options: func(name string) Options { return w.rules[name] }}
		if w.one(2) {
			n.hub.MaxPending = 500 + w.rng.IntN(3000)
		}
		if !w.local {
			n.hub.Broker = n.broker
		}
		w.nodes = append(w.nodes, n)
		for range 2 {
			w.addLoop(n)
		}
	}
	return w
}

func (w *world) one(in int) bool { return w.rng.IntN(in) == 0 }

func (w *world) addLoop(n *simNode) {
	w.loops++
	n.loops = append(n.loops, &simLoop{key: w.loops})
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	from := max(0, len(w.trace)-100)
	for _, line := range w.trace[from:] {
		w.t.Log(line)
	}
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
	if len(w.trace) > 4096 {
		w.trace = w.trace[2048:]
	}
}

// pick returns one of all, nil if there are none.
func pick[T any](w *world, all []T) (v T, ok bool) {
	if len(all) == 0 {
		return v, false
	}
	return all[w.rng.IntN(len(all))], true
}

// settle does everything that is left to do, with all peers fast.
func (w *world) settle() {
	for range 100000 {
		idle := true
		for _, n := range w.nodes {
			for _, l := range n.loops {
				idle = idle && len(l.queue) == 0
			}
			w.turn(n)
			idle = !n.broker.deliver(w) && idle
			for _, p := range n.peers {
				p.slow = false
				idle = !p.drain() && idle
			}
		}
		if idle = !w.task() && idle; idle {
			return
		}
	}
	w.fail("it does not come to an end")
}

// run is one run: random steps, then peace, in which everybody must get the last message, and then
// the end of all, after which nothing may be left.
func (w *world) run(steps int) {
	for range steps {
		w.step()
		w.checkShards()
	}
	w.calm = true
	w.settle()
	w.note("calm")
	w.advance(historyWait) // and intervals
	w.settle()             // or what they send might wait where the next message has to
	for _, name := range simNames {
		w.publish(w.nodes[0], name)
		w.settle()
	}
	w.advance(10 * time.Second)
	w.settle()
	w.checkShards()
	w.checkFresh()
	for _, n := range w.nodes {
		for len(n.peers) > 0 {
			n.peers[0].close()
			w.checkShards()
		}
	}
	w.settle()
	for range 3 {
		w.advance(time.Hour)
		w.settle()
	}
	w.checkNothing()
}

// simSeeds returns how many seeds to try.
func simSeeds(t testing.TB) int {
	s := os.Getenv("MYRIAD_SEEDS")
	if s == "" {
		return 1000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSimulation runs the Hub through faults: subscribers come, go and are slow, loops end, the
// broker loses messages and answers late. Nobody gets a message twice, out of order or misses one
// without being told; all get the last one; and nothing is left in the end.
func TestSimulation(t *testing.T) {
	first := uint64(1)
	n := simSeeds(t)
	if s := os.Getenv("MYRIAD_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first = seed
		if os.Getenv("MYRIAD_SEEDS") == "" {
			n = 1
		}
	}
	lost := 0
	for seed := first; seed < first+uint64(n); seed++ {
		w := newWorld(t, seed)
		w.run(300)
		lost += w.lost
	}
	t.Logf("%d seeds, %d messages lost by the broker, on %s", n, lost, runtime.GOARCH)
}
