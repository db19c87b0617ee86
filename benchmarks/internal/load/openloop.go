package load

import (
	"context"
	"runtime"
	"slices"
	"time"
)

// openLoop is a job that sends messages at fixed times, on each connection in turn, whether the
// messages before were answered or not. A message waits while its connection has depth messages in
// flight. Latency counts from the time at which the message should have been sent, because a user
// who waits for a slow server waits during this time too.
//
// The loop never sleeps: it would wake up too late.
type openLoop struct {
	w      *worker
	depth  uint32
	begin  int64   // time of message 0
	gap    float64 // nanoseconds from one message of this worker to the next
	from   int64   // messages before this time belong to the warm-up
	until  int64   // no message is due from this time on
	next   uint64  // the message that is due next
	plan   []plan  // of each connection
	tick   func()
	halted bool
}

// plan counts the messages of a connection. Of those sent, conn.got were answered.
type plan struct{ sent, due uint32 }

// inTime is how late a message may be sent, in nanoseconds, without being missed.
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

// time returns when message k of the worker is due.
func (j *openLoop) time(k uint64) int64 { return j.begin + int64(float64(k)*j.gap) }

// timeOf returns when message k of a connection is due.
func (j *openLoop) timeOf(c *conn, k uint32) int64 {
	return j.time(uint64(k)*uint64(len(j.w.conns)) + uint64(c.index))
}

// turn sends what is due, and posts itself for the loop's next turn.
func (j *openLoop) turn() {
	if j.halted {
		return
	}
	now := j.w.session.now()
	for range 1024 { // then the connections get their turn, however late we are
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

// pump sends as many due messages as may be in flight on c.
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

// stop ends the plan. Messages that were due before may still be answered: see pending.
func (j *openLoop) stop() { j.until = j.w.session.now() }

// pending returns how many messages are due and not answered.
func (j *openLoop) pending() (n uint64) {
	for _, c := range j.w.conns {
		if c.flags&dead == 0 {
			n += uint64(j.plan[c.index].due - c.got)
		}
	}
	return n
}

// giveUp ends the job. It records how long messages have waited that were never answered.
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
	if err := s.cfg.Begin(); err != nil {
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
	if err := s.cfg.End(); err != nil {
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
	after.counts.missed = end.counts.missed // these were due before, even if they were sent later
	if err != nil {
		return Result{}, err
	}
	return s.result(ctx, before, after)
}

// lastAnswers is how long an open loop waits in the end for messages in flight.
const lastAnswers = 2 * time.Second

// finish waits for up to lastAnswers until all messages are answered, and ends the jobs.
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
