package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// broadcastPath is where messages for everybody are sent.
const broadcastPath = "/broadcast"

// broadcasting has one connection send, again and again: the next message when all connections have got the last one. All
// workers share it.
type broadcasting struct {
	session *Session
	left    atomic.Int64 // connections that have not got the current message
	sentAt  atomic.Int64
	round   atomic.Uint32 // the current message, from 1 on
	stopped atomic.Bool
	once    bool // one message only
	done    chan struct{}

	mu        sync.Mutex // guards receivers, and what left begins with
	receivers int64
}

// send sends the next message, on the sender's loop.
func (j *broadcasting) send() {
	j.mu.Lock()
	j.round.Add(1)
	j.left.Store(j.receivers)
	j.mu.Unlock()
	j.sentAt.Store(j.session.now())
	j.session.sent++
	j.session.message.send(j.session.sender.c, 1)
}

// ownBroadcasts takes what the sender gets of its own broadcasts. Some servers leave it out and nobody waits for it, but each may
// come only once.
func (s *Session) ownBroadcasts(sender *conn, n int) {
	sender.got += uint32(n)
	if sender.got > s.sent {
		sender.w.wrong += uint64(sender.got - s.sent)
		sender.got = s.sent
	}
}

// arrived implements job. A second copy that comes only when the next round has begun is taken for that round's message: the
// connection is a message ahead then, and is found out when it would be two.
func (j *broadcasting) arrived(c *conn, n int) error {
	w := c.w
	w.messages += uint64(n)
	c.got += uint32(n)
	if c.got > j.round.Load() {
		c.got -= uint32(n) // so that lost sees what it had before
		return w.tooMany(n)
	}
	if j.left.Add(int64(-n)) == 0 {
		j.all(w)
	}
	return nil
}

// all is called when the last connection has got the message.
func (j *broadcasting) all(w *worker) {
	if j.stopped.Load() {
		return
	}
	record(w.latency, j.session.now()-j.sentAt.Load())
	switch from := j.session.sender.w; {
	case j.once:
		close(j.done)
	case from == w:
		j.send()
	default:
		j.session.engine.Post(from.loop, j.send)
	}
}

// lost implements job: nobody waits for it any more.
func (j *broadcasting) lost(c *conn) {
	j.mu.Lock()
	j.receivers--
	last := c.got < j.round.Load() && j.left.Add(-1) == 0
	j.mu.Unlock()
	if last {
		j.all(c.w)
	}
}

// broadcast begins to broadcast, once or until it is stopped.
func (s *Session) broadcast(ctx context.Context, once bool) (*broadcasting, error) {
	if err := s.openSender(ctx); err != nil {
		return nil, err
	}
	j := &broadcasting{session: s, once: once, done: make(chan struct{})}
	err := s.each(ctx, func(w *worker) {
		w.begin(j)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.receivers += int64(w.joined())
	})
	if err != nil {
		return nil, err
	}
	if j.receivers == 0 {
		return nil, errors.New("load: nobody is there to get a broadcast")
	}
	return j, s.engine.Post(s.sender.w.loop, j.send)
}

// openSender opens the connection that sends, unless it is open.
func (s *Session) openSender(ctx context.Context) error {
	if s.sender != nil {
		return nil
	}
	var o *opener
	o = s.newOpener(broadcastPath, 1, func(c *conn) {
		c.flags |= sender
		s.sender = c
		o.over()
	})
	o.begin(1)
	if err := s.watch(ctx, o.done, s.cfg.Timeout, func() (uint64, error) { return 0, nil }); err != nil {
		return fmt.Errorf("load: opening the connection that broadcasts: %w", err)
	}
	if s.sender == nil {
		return fmt.Errorf("load: opening the connection that broadcasts: %w", s.FirstError())
	}
	return s.rest(ctx, settling) // a server may know its connections a little later than they know it
}

// Broadcast sends one message to all connections, and returns when the last one has it. The first call opens the connection that
// sends. The result has Messages and Wrong, and how long it took as Latency.Max.
func (s *Session) Broadcast(ctx context.Context) (Result, error) {
	if err := s.openSender(ctx); err != nil {
		return Result{}, err
	}
	before, err := s.read(ctx, (*worker).reset)
	if err != nil {
		return Result{}, err
	}
	j, err := s.broadcast(ctx, true)
	if err != nil {
		return Result{}, err
	}
	if err := s.watch(ctx, j.done, s.cfg.Timeout, s.messages); err != nil {
		return Result{}, fmt.Errorf("load: a broadcast, %d of %d connections have not got it: %w%s", j.left.Load(), j.receivers, err, s.state())
	}
	return s.since(ctx, before)
}
