package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// broadcastPath is the path of the connection that broadcasts.
const broadcastPath = "/broadcast"

// broadcasting is a job in which one connection sends the next message when all connections have
// received the last one. All workers share it.
type broadcasting struct {
	session *Session
	left    atomic.Int64 // connections that have not received the current message
	sentAt  atomic.Int64
	round   atomic.Uint32 // the current message, counted from 1
	stopped atomic.Bool
	once    bool          // end after one message
	done    chan struct{} // is closed when once is done

	mu        sync.Mutex // guards receivers, and left when a round begins
	receivers int64
}

// send sends the next message. It must be called on the sender's loop.
func (j *broadcasting) send() {
	j.mu.Lock()
	j.round.Add(1)
	j.left.Store(j.receivers)
	j.mu.Unlock()
	j.sentAt.Store(j.session.now())
	j.session.sent++
	j.session.message.send(j.session.sender.c, 1)
}

// ownBroadcasts counts what the sender receives of its own broadcasts. Some servers leave the
// sender out, so nothing waits for these, but each may come only once.
func (s *Session) ownBroadcasts(sender *conn, n int) {
	sender.got += uint32(n)
	if sender.got > s.sent {
		sender.w.wrong += uint64(sender.got - s.sent)
		sender.got = s.sent
	}
}

// arrived implements job. A second copy that comes after the next round has begun is taken for that
// round's message. The connection is one message ahead then, and fails when it would be two ahead.
func (j *broadcasting) arrived(c *conn, n int) error {
	w := c.w
	w.messages += uint64(n)
	c.got += uint32(n)
	if c.got > j.round.Load() {
		c.got -= uint32(n) // lost wants to know what it had before
		return w.tooMany(n)
	}
	if j.left.Add(int64(-n)) == 0 {
		j.all(w)
	}
	return nil
}

// all is called when the last connection has received the message.
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

// lost implements job. The current round does not wait for c any longer.
func (j *broadcasting) lost(c *conn) {
	j.mu.Lock()
	j.receivers--
	last := c.got < j.round.Load() && j.left.Add(-1) == 0
	j.mu.Unlock()
	if last {
		j.all(c.w)
	}
}

// broadcast begins to broadcast, once or until the job is stopped.
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
		return nil, errors.New("load: no connection is open to receive a broadcast")
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
	return s.rest(ctx, settling) // the server may add a connection later than the client does
}

// Broadcast sends one message to all connections and returns when the last one has received it. The
// first call opens the connection that sends. The result has Messages and Wrong, and the time until
// the last connection had the message as Latency.Max.
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
		return Result{}, fmt.Errorf("load: broadcast: %d of %d connections have not received it: %w%s",
			j.left.Load(), j.receivers, err, s.state())
	}
	return s.since(ctx, before)
}
