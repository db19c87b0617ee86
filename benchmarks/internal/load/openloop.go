package load

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// openLoop sends messages at fixed times, whether those before were answered or not: one after the other on each connection
// in turn. A message whose connection has depth messages under way has to wait for it, and its latency is counted from the
// time at which it should have been sent: whoever waits for a slow server waits in this time, too.
//
// The loop never sleeps meanwhile: what wakes it would be later than what it is to measure.
type openLoop struct {
	w      *worker
	depth  uint32
	begin  int64   // the time of message 0
	gap    float64 // nanoseconds from one message of this worker to the next
	from   int64   // messages before are not counted: the warm-up's
	until  int64   // there are no messages any more
	next   uint64  // message that is due next
	plan   []plan  // of each connection
	tick   func()
	halted bool
}

// plan is what becomes of the messages of a connection: conn.got of them were answered.
type plan struct{ sent, due uint32 }

// inTime is how late a message may be sent, in nanoseconds.
const inTime = 1e6

func (w *worker) newOpenLoop(depth int, perSecond float64) *openLoop {
	j := &openLoop{w: w, depth: uint32(depth), gap: 1e9 / perSecond, until: 1<<63 - 1, plan: make([]plan, len(w.conns))}
	j.tick = j.turn
	return j
}

func (j *openLoop) start() {
	j.begin = j.w.session.now()
	j.from = j.begin
	if len(j.w.conns) > 0 {
		j.turn()
	}
}

// time is when message k of all should be sent, and timeOf that of message k of a connection.
func (j *openLoop) time(k uint64) int64 { return j.begin + int64(float64(k)*j.gap) }

func (j *openLoop) timeOf(c *conn, k uint32) int64 {
	return j.time(uint64(k)*uint64(len(j.w.conns)) + uint64(c.index))
}

// turn sends what is due, and is called again by the loop's next turn.
func (j *openLoop) turn() {
	if j.halted {
		return
	}
	now := j.w.session.now()
	for range 1024 { // then others must have their turn, however late we are
		at := j.time(j.next)
		if at > now || at >= j.until {
			break
		}
		c := j.w.conns[j.next%uint64(len(j.w.conns))]
		j.next++
		j.plan[c.index].due++
		if now-at > inTime {
			j.w.late++
		}
		j.pump(c, now)
	}
	runtime.Gosched()
	j.w.session.engine.Post(j.w.loop, j.tick)
}

// pump sends what c can.
func (j *openLoop) pump(c *conn, now int64) {
	p := &j.plan[c.index]
	for p.sent != p.due && p.sent-c.got < j.depth && c.flags&dead == 0 {
		if at := j.timeOf(c, p.sent); now-at > inTime && at >= j.from {
			j.w.missed++
		}
		p.sent++
		j.w.session.message.send(c.c, 1)
	}
}

// arrived implements job.
func (j *openLoop) arrived(c *conn, n int) error {
	w := j.w
	w.messages += uint64(n)
	if p := j.plan[c.index]; uint32(n) > p.sent-c.got {
		return w.tooMany(n)
	}
	now := w.session.now()
	for range n {
		if at := j.timeOf(c, c.got); at >= j.from {
			record(w.latency, now-at)
		}
		c.got++
	}
	j.pump(c, now)
	return nil
}

// lost implements job.
func (j *openLoop) lost(*conn) {}

// stop ends the plan. What was due before may still be answered: see pending.
func (j *openLoop) stop() { j.until = j.w.session.now() }

// pending is how many messages are due and not answered.
func (j *openLoop) pending() (n uint64) {
	for _, c := range j.w.conns {
		if c.flags&dead == 0 {
			n += uint64(j.plan[c.index].due - c.got)
		}
	}
	return n
}

// giveUp ends it, and counts what was never answered by how long it has waited.
func (j *openLoop) giveUp() {
	j.halted = true
	now := j.w.session.now()
	for _, c := range j.w.conns {
		p := j.plan[c.index]
		for k := c.got; k != p.due; k++ {
			if at := j.timeOf(c, k); at >= j.from {
				record(j.w.latency, now-at)
			}
		}
		j.w.missed += uint64(p.due - p.sent)
		c.got = p.due
	}
}

// openEcho runs the open loop.
func (s *Session) openEcho(ctx context.Context) (Result, error) {
	jobs := make([]*openLoop, len(s.workers))
	opened := float64(s.Opened())
	err := s.each(ctx, func(w *worker) {
		jobs[w.loop] = w.newOpenLoop(s.cfg.InFlight, s.cfg.Rate*float64(len(w.conns))/opened)
		w.begin(jobs[w.loop])
		jobs[w.loop].start()
	})
	if err == nil {
		err = s.pass(ctx, s.cfg.WarmUp)
	}
	if err != nil {
		return Result{}, err
	}
	before, err := s.read(ctx, func(w *worker) {
		w.reset()
		jobs[w.loop].from = s.now()
	})
	if err == nil {
		err = s.pass(ctx, s.cfg.Duration)
	}
	if err != nil {
		return Result{}, err
	}
	after, err := s.read(ctx, func(w *worker) { jobs[w.loop].stop() })
	if err == nil {
		err = s.finish(ctx, jobs)
	}
	if err != nil {
		return Result{}, err
	}
	end, err := s.read(ctx, nil)
	after.counts.missed = end.counts.missed // of messages from the time that is measured, also if they were sent behind it
	if err != nil {
		return Result{}, err
	}
	return s.result(ctx, before, after)
}

// lastAnswers is how long an open loop waits in the end for what is under way.
const lastAnswers = 2 * time.Second

// finish waits until all messages are answered, though not for long, and ends the jobs.
func (s *Session) finish(ctx context.Context, jobs []*openLoop) error {
	for end := time.Now().Add(lastAnswers); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		pending := make([]uint64, len(jobs))
		if err := s.each(ctx, func(w *worker) { pending[w.loop] = jobs[w.loop].pending() }); err != nil {
			return err
		}
		if slices.Max(pending) == 0 {
			break
		}
	}
	return s.each(ctx, func(w *worker) { jobs[w.loop].giveUp() })
}
