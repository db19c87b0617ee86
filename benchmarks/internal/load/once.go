package load

import (
	"context"
	"fmt"
)

// once is a job in which each connection sends one message, a fixed number at a time.
type once struct {
	w    *worker
	next int // index in w.conns
	left int // connections that are neither answered nor lost
	done func()
}

// unanswered marks a connection that has sent its message.
const unanswered = 1

func (j *once) start(atATime int) {
	j.left = len(j.w.conns)
	if j.left == 0 {
		j.done()
	}
	for range atATime {
		j.more()
	}
}

// more lets the next connection send.
func (j *once) more() {
	for j.next < len(j.w.conns) {
		c := j.w.conns[j.next]
		j.next++
		if c.flags&dead == 0 {
			c.at, c.got = j.w.session.now(), unanswered
			j.w.session.message.send(c.c, 1)
			return
		}
		j.over()
	}
}

// over counts a connection that is answered or lost.
func (j *once) over() {
	if j.left--; j.left == 0 {
		j.done()
	}
}

// arrived implements job.
func (j *once) arrived(c *conn, n int) error {
	j.w.messages += uint64(n)
	if n != 1 || c.got != unanswered {
		return j.w.tooMany(n)
	}
	record(j.w.latency, j.w.session.now()-c.at)
	j.answered(c)
	return nil
}

// lost implements job.
func (j *once) lost(c *conn) {
	if c.got == unanswered {
		j.answered(c)
	}
}

func (j *once) answered(c *conn) {
	c.got = 0
	j.over()
	j.more()
}

// EchoOnce lets every connection send one message, Config.Opening at a time on each loop, and
// returns when all have it back. The result has Messages, Wrong, Latency and PerSecond.
func (s *Session) EchoOnce(ctx context.Context) (Result, error) {
	done := make(chan struct{}, len(s.workers))
	before, err := s.read(ctx, (*worker).reset)
	if err != nil {
		return Result{}, err
	}
	err = s.each(ctx, func(w *worker) {
		j := &once{w: w, done: func() { done <- struct{}{} }}
		w.begin(j)
		j.start(s.cfg.Opening)
	})
	all := make(chan struct{})
	go func() {
		for range s.workers {
			<-done
		}
		close(all)
	}()
	if err == nil {
		err = s.watch(ctx, all, s.cfg.Timeout, s.messages)
	}
	if err != nil {
		return Result{}, fmt.Errorf("load: one message on each connection: %w%s", err, s.state())
	}
	return s.since(ctx, before)
}
