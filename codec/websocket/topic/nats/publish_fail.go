package nats

import (
	"context"
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
	var gone []failure
	if now.Sub(q.expired) >= min(time.Second, b.cfg.publish) {
		q.expired = now
		gone = q.giveUp(func(o *outbox) bool { return now.Sub(o.packs[0].since) > b.cfg.publish })
	}
	q.mu.Unlock()
	b.failThese(gone, ErrTimeout)
}

// failSent gives up what is on its way.
func (b *Broker) failSent(err error) {
	q := &b.queue
	q.mu.Lock()
	sent := make(map[*outbox]bool, len(q.sent))
	for _, o := range q.sent {
		sent[o] = true
	}
	gone := q.giveUp(func(o *outbox) bool {
		was := sent[o]
		delete(sent, o) // only its first pack
		return was
	})
	q.mu.Unlock()
	b.failThese(gone, err)
}

// failAll gives up everything.
func (b *Broker) failAll(err error) {
	q := &b.queue
	q.mu.Lock()
	gone := q.giveUp(func(*outbox) bool { return true })
	q.mu.Unlock()
	b.failThese(gone, err)
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
