package load

import (
	"errors"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// worker is the state of one loop. Only this loop uses it.
type worker struct {
	session *Session
	loop    int
	conns   []*conn
	job     job
	counts
	latency, handshake *hdrhistogram.Histogram // nanoseconds
}

// counts are counters. They only grow.
type counts struct {
	messages uint64 // received
	wrong    uint64
	missed   uint64
	late     uint64 // messages of an open loop that we began to send late
	opens    uint64 // connections that were opened
	slow     uint64 // connections that took more than a second to open
}

func (a counts) minus(b counts) counts {
	return counts{
		a.messages - b.messages, a.wrong - b.wrong, a.missed - b.missed,
		a.late - b.late, a.opens - b.opens, a.slow - b.slow,
	}
}

func (a counts) plus(b counts) counts {
	return counts{
		a.messages + b.messages, a.wrong + b.wrong, a.missed + b.missed,
		a.late + b.late, a.opens + b.opens, a.slow + b.slow,
	}
}

// job is what a worker's connections do. Its methods are called on the loop.
type job interface {
	// arrived is called when the last byte of n replies has arrived. An error closes the
	// connection.
	arrived(c *conn, n int) error
	// lost is called when a connection is closed.
	lost(c *conn)
}

// idling is the job of connections that must not receive anything.
type idling struct{}

func (idling) arrived(c *conn, n int) error {
	c.w.messages += uint64(n)
	c.w.wrong += uint64(n)
	return nil
}
func (idling) lost(*conn) {}

func newWorker(s *Session, loop int) *worker {
	return &worker{session: s, loop: loop, job: idling{}, latency: newHistogram(), handshake: newHistogram()}
}

// opened counts a connection that is open after took nanoseconds.
func (w *worker) opened(c *conn, took int64) {
	w.session.open.Add(1)
	w.opens++
	if took > 1e9 {
		w.slow++
	}
	record(w.handshake, took)
}

// begin gives all connections a new job.
func (w *worker) begin(j job) {
	w.job = j
	for _, c := range w.conns {
		c.got = 0
	}
}

// reset empties the histograms. Handshakes are part of what is measured in a churn only; in others
// they come before, and stay.
func (w *worker) reset() {
	w.latency.Reset()
	if w.session.cfg.Kind == Churn {
		w.handshake.Reset()
	}
}

// join adds c to the connections that take part in jobs.
func (w *worker) join(c *conn) {
	c.index = uint32(len(w.conns))
	w.conns = append(w.conns, c)
}

// joined returns how many of the worker's connections are open.
func (w *worker) joined() (n int) {
	for _, c := range w.conns {
		if c.flags&dead == 0 {
			n++
		}
	}
	return n
}

// tooMany returns the error of a connection that received more replies than it sent messages.
func (w *worker) tooMany(n int) error {
	w.wrong += uint64(n)
	return errTooMany
}

var errTooMany = errors.New("load: more replies than messages")
