package handover

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// alone runs f in a process, which may be killed meanwhile.
func alone(f func()) {
	defer func() {
		if e := recover(); e != nil && e != error(errKilled) {
			panic(e)
		}
	}()
	f()
}

// run lets both processes and their engines do things in any order, until both are at their end.
func (w *world) run() error {
	for range 100_000 {
		if w.over() {
			return w.checkEnd()
		}
		w.act()
		if err := w.check(); err != nil {
			return err
		}
		running := w.old.alive && !w.giverEnd || w.new.alive && w.listening()
		if running && w.now.Sub(w.began) > simLimit {
			break
		}
	}
	return fmt.Errorf("it hangs: giver in state [%d], taker in state [%d], after [%v]",
		w.giver.state, w.taker.state, w.now.Sub(w.began))
}

func (w *world) over() bool {
	giver := w.giverEnd || !w.old.alive
	taker := w.takerEnd && len(w.prepared) == 0 || !w.new.alive
	return giver && taker
}

// simLimit is how long a handover may take. With the time-outs it cannot be longer.
const simLimit = 20 * time.Minute

// meanwhile lets the other process do something while one is between two system calls.
func (w *world) meanwhile(f func()) {
	if w.nested || w.fair && w.rng.IntN(2) == 0 {
		return
	}
	w.nested = true
	f()
	w.nested = false
}

// stopped reports whether p stands still.
func (w *world) stopped(p *simProcess) bool {
	if p.stopAt == 0 || p.calls < p.stopAt {
		return false
	}
	if p == w.old {
		return w.new.alive && !w.takerEnd
	}
	return w.old.alive && !w.giverEnd
}

// act does one thing. If nobody has anything to do, time goes on.
func (w *world) act() {
	if !w.fair && w.rng.IntN(3000) == 0 {
		w.now = w.now.Add(time.Duration(w.rng.IntN(30)) * time.Second) // both are slow
	}
	switch w.rng.IntN(4) {
	case 0:
		alone(w.giverEngine)
	case 1:
		alone(w.takerEngine)
	default:
		moved := w.stepGiver()
		if w.stepTaker() || moved {
			return
		}
		w.wait()
	}
}

// wait lets some time pass, but not the moment at which a process has something to do.
func (w *world) wait() {
	idle := 1000
	if w.fair {
		idle = 20
	}
	next := w.now.Add(time.Duration(w.rng.IntN(idle)) * time.Millisecond)
	if w.old.alive && !w.giverEnd {
		next = earlier(next, w.giverPlan.deadline)
	}
	if w.new.alive && w.listening() {
		next = earlier(next, w.takerPlan.deadline)
	}
	if next.After(w.now) {
		w.now = next
	}
}

// listening reports whether the taker's protocol is running.
func (w *world) listening() bool { return !w.takerEnd && (!w.listed || w.decided) }

// cancels reports whether a context is canceled now, which happens once at most.
func (w *world) cancels() bool {
	w.cancelIn--
	return w.cancelIn == 0
}

// spurious reports whether a process steps without a reason.
func (w *world) spurious() bool { return w.restless && w.rng.IntN(20) == 0 }

func (w *world) stepGiver() (moved bool) {
	if !w.old.alive || w.giverEnd || w.stopped(w.old) {
		return false
	}
	p := w.giverPlan
	due := !w.giver.begun || !p.deadline.IsZero() && !w.now.Before(p.deadline)
	if !due && !(simEnd{w.old}).ready(p) && !w.spurious() {
		return false
	}
	w.old.woken = false
	alone(func() {
		if w.cancels() {
			w.giverPlan = w.giver.fail(errors.New("canceled"))
		} else {
			w.giverPlan = w.giver.step(w.now)
		}
		if w.giverPlan.over {
			w.giverOver(w.giver.err)
		}
	})
	return true
}

func (w *world) stepTaker() (moved bool) {
	if !w.new.alive || !w.listening() || w.stopped(w.new) {
		return false
	}
	p := w.takerPlan
	due := !w.taker.begun || !p.deadline.IsZero() && !w.now.Before(p.deadline)
	if !due && !(simEnd{w.new}).ready(p) && !w.spurious() {
		return false
	}
	w.new.woken = false
	alone(func() {
		if w.cancels() {
			w.takerPlan = w.taker.fail(errors.New("canceled"))
		} else {
			w.takerPlan = w.taker.step(w.now)
		}
		if w.takerPlan.over {
			w.takerOver()
		}
	})
	return true
}

// giverOver does what the engine does when Run has returned.
func (w *world) giverOver(err error) {
	w.giverEnd = true
	var broken *BrokenError
	switch {
	case err == nil:
		w.outcome = "handed over"
		for _, fd := range w.sockets {
			w.old.close(fd)
		}
		w.sockets = nil
		return
	case errors.As(err, &broken):
		w.outcome = "broken"
	default:
		w.outcome = "rolled back"
		if w.accepts && !w.corrupt {
			w.failf("giver: rolled back, but the taker accepts: %v", err)
		}
	}
	w.resumed = true
}

func (w *world) takerOver() {
	if !w.listed && w.taker.state == deciding {
		w.listed = true
		in, err := w.taker.handOut()
		if err != nil {
			w.failf("taker: Listeners: %v", err)
			return
		}
		for _, l := range in.Listeners {
			w.copies = append(w.copies, l.FDs...)
		}
		if len(w.copies) != len(w.sockets) && !w.corrupt {
			w.failf("taker: gets [%d] of [%d] listeners", len(w.copies), len(w.sockets))
		}
		return
	}
	w.takerEnd = true
	if !w.accepts {
		for _, fd := range w.copies {
			w.new.close(fd)
		}
		w.copies = nil
	}
	var broken *BrokenError
	if err := w.taker.err; errors.As(err, &broken) != (err != nil && w.accepts) {
		w.failf("taker: accepts is %v, Run returns %v", w.accepts, err)
	}
}

// giverEngine is a turn of the old process's loops.
func (w *world) giverEngine() {
	if !w.old.alive || !w.ready || w.giverEnd || w.stopped(w.old) {
		return
	}
	w.old.point()
	if w.finish || w.giverEnd || w.lazy && w.now.Sub(w.began) < 30*time.Second {
		return
	}
	for range w.rng.IntN(4) {
		w.post()
	}
	if w.posted == w.settled && w.rng.IntN(6) == 0 || w.rng.IntN(300) == 0 {
		w.finish = true
		w.giver.Finish()
	}
}

// takerEngine decides, or is a turn of the new process's loops.
func (w *world) takerEngine() {
	if !w.new.alive || w.stopped(w.new) {
		return
	}
	w.new.point()
	if w.listed && !w.decided && w.rng.IntN(min(w.slow, 60)) == 0 {
		w.decided = true
		w.takerPlan = plan{}
		w.new.woken = true
		if w.rng.IntN(12) == 0 {
			w.refuses = true
			w.taker.sayRefused(strings.Repeat("no", w.rng.IntN(1000)))
		} else {
			w.taker.sayReady()
		}
	}
	if len(w.prepared) > 0 && w.rng.IntN(w.slow) == 0 {
		i := w.rng.IntN(len(w.prepared))
		b := w.prepared[i]
		w.prepared = append(w.prepared[:i], w.prepared[i+1:]...)
		w.answer(b)
	}
	if len(w.owned) > 0 && w.rng.IntN(w.slow) == 0 {
		i := w.rng.IntN(len(w.owned))
		b := w.owned[i]
		w.owned = append(w.owned[:i], w.owned[i+1:]...)
		w.land(b)
	}
}

// check looks at what must hold at any moment.
func (w *world) check() error {
	errs := append(append(w.errs, w.old.errs...), w.new.errs...)
	if len(errs) > 0 {
		return errs[0]
	}
	if w.corrupt {
		return nil
	}
	for i, c := range w.conns {
		if w.old.alive && c.at == served && c.owned {
			return fmt.Errorf("both processes own [%d]", i)
		}
		if w.old.alive && c.at == left && w.new.alive && !c.owned {
			return fmt.Errorf("nobody owns [%d]", i)
		}
	}
	if w.old.alive && w.ready && !w.resumed && w.outcome == "" && len(w.sockets) == 0 {
		return errors.New("the giver has closed its listeners before the end")
	}
	if w.ready && !w.accepts && w.new.alive {
		return errors.New("nobody accepts: the giver has stopped before the taker has begun")
	}
	return nil
}

// checkEnd looks at who has what in the end.
func (w *world) checkEnd() error {
	if err := w.check(); err != nil {
		return err
	}
	if w.fair && w.outcome != "handed over" && !w.refuses {
		return fmt.Errorf("it ends with %q, and nothing has happened: giver: %v; taker: %v",
			w.outcome, w.giver.err, w.taker.err)
	}
	want := map[*simProcess]int{w.old: len(w.sockets), w.new: len(w.copies)}
	if w.posted != w.settled && w.old.alive {
		return fmt.Errorf("[%d] of [%d] batches are settled", w.settled, w.posted)
	}
	if w.old.alive && w.new.alive && w.outcome == "handed over" && w.taker.err != nil && !w.corrupt {
		return fmt.Errorf("handed over, but the taker says %v", w.taker.err)
	}
	giverAccepts := w.old.alive && (!w.ready || w.resumed) && len(w.sockets) > 0
	takerAccepts := w.new.alive && w.accepts && len(w.copies) > 0
	if w.old.alive && !giverAccepts && !takerAccepts && w.new.alive {
		return errors.New("nobody accepts in the end")
	}
	for i, c := range w.conns {
		atOld, atNew := c.at == served, c.in == served
		if w.old.alive && atOld {
			want[w.old]++
		}
		if w.new.alive && atNew {
			want[w.new]++
		}
		if w.new.alive && c.in == frozen {
			return fmt.Errorf("[%d] is neither owned nor dropped by the taker", i)
		}
		if w.corrupt || !w.old.alive {
			continue
		}
		if w.new.alive && atOld == atNew {
			return fmt.Errorf("[%d] has no owner, or two: %d %d", i, c.at, c.in)
		}
	}
	for p, n := range want {
		if p.alive && len(p.table) != n {
			return fmt.Errorf("%s: [%d] descriptors are open in the end, want [%d]", p.name, len(p.table), n)
		}
	}
	return nil
}

// simulate is one seed.
func simulate(seed uint64) (outcome string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	w := newWorld(seed)
	err = w.run()
	switch {
	case !w.old.alive && !w.new.alive:
		outcome = "both killed"
	case !w.old.alive:
		outcome = "giver killed"
	case !w.new.alive:
		outcome = "taker killed, " + w.outcome
	default:
		outcome = w.outcome
	}
	return outcome, err
}

// number is the value of an environment variable.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestSimulatedHandover runs a giver and a taker through faults: partial sends and receives, full
// queues, too many descriptors on their way, slow processes, either one killed before or after any
// system call, cancellation, refused connections and handovers, other versions, changed bytes. Each
// connection has one owner, somebody accepts, nothing hangs, and no descriptor is left.
//
// MYRIAD_SEEDS sets how many seeds are run, MYRIAD_SEED runs only that one.
func TestSimulatedHandover(t *testing.T) {
	first, n := uint64(0), number(t, "MYRIAD_SEEDS", 10_000)
	if os.Getenv("MYRIAD_SEED") != "" {
		first, n = number(t, "MYRIAD_SEED", 0), 1
	}
	outcomes := map[string]int{}
	for seed := first; seed < first+n; seed++ {
		outcome, err := simulate(seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		outcomes[outcome]++
	}
	t.Log(outcomes)
	if n < 1000 {
		return
	}
	for _, want := range []string{
		"handed over", "broken", "rolled back", "giver killed",
		"taker killed, broken", "taker killed, rolled back",
	} {
		if outcomes[want] == 0 {
			t.Errorf("no seed ends with %q", want)
		}
	}
}
