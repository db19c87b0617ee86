package nats

import (
	"context"
	"maps"
	"time"
)

// expire gives up what has waited too long.
func (b *Broker) expire(now time.Time) {
	q := &b.queue
	q.mu.Lock()
	if b.canSend() {
		q.down = time.Time{}
	} else if q.down.IsZero() {
		q.down = now
	}
	due := now.Sub(q.expired) >= min(time.Second, b.cfg.publish)
	if due {
		q.expired = now
	}
	q.mu.Unlock()
	if due {
		gone := q.giveUp(func(o *outbox) bool { return now.Sub(o.packs[0].since) > b.cfg.publish })
		b.failThese(gone, ErrTimeout)
	}
}

// failSent gives up what is on its way.
func (b *Broker) failSent(err error) {
	q := &b.queue
	q.mu.Lock()
	sent := maps.Clone(q.sent)
	q.mu.Unlock()
	b.failThese(q.giveUp(func(o *outbox) bool { return sent[o.token] == o }), err)
}

// failAll gives up everything.
func (b *Broker) failAll(err error) {
	b.failThese(b.queue.giveUp(func(*outbox) bool { return true }), err)
}

func (b *Broker) failThese(gone []failure, err error) {
	for _, f := range gone {
		b.fail(f.topic, f.count, err)
	}
}

// drain lets nothing more in, and waits until everything is stored.
func (b *Broker) drain(ctx context.Context) error {
	q := &b.queue
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		if len(q.topics) == 0 {
			close(q.empty)
		}
	}
	q.mu.Unlock()
	select {
	case <-q.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
