package wsconn

import (
	"context"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/sendqueue"
)

// defaultMaxLinger is that of Config.MaxLinger.
const defaultMaxLinger = 5 * time.Minute

// lookAgain is the part of a time after which the kernel is asked again.
const lookAgain = 8

// taken returns how many bytes the peer has acknowledged, but for a constant, and how many it has
// not. While a write is in progress it may be too low.
func (c *Conn) taken() (taken int64, left int, ok bool) {
	left, ok = sendqueue.Len(c.nc)
	return c.wrote.Load() - int64(left), left, ok
}

// patience cancels a context when the peer has acknowledged everything and then been silent for
// CloseTimeout, or has acknowledged nothing for CloseTimeout, or when MaxLinger has passed. So a
// peer that reads slowly but steadily is waited for. One that took longer than CloseTimeout for
// everything may have as much in its own buffers, and has that long again.
type patience struct {
	c      *Conn
	cancel context.CancelCauseFunc

	mu           sync.Mutex
	timer        *time.Timer
	stopped      bool
	begin, since time.Duration // by Conn.now: the first look, and the last progress
	due          time.Duration // when the timer was to fire
	taken        int64
	acknowledged bool // everything was, at the last look
	late         bool // the timer was so late that there may be an answer that nobody has seen yet
}

// closing returns the context of a closing handshake.
func (c *Conn) closing(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.protocol.CloseTimeout
	taken, _, ok := c.taken()
	if timeout < 0 {
		return within(ctx, c.config.maxLinger())
	}
	if !ok {
		return within(ctx, timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	now := c.now()
	p := &patience{c: c, cancel: cancel, begin: now, since: now, taken: taken}
	p.mu.Lock()
	p.due = now + timeout/lookAgain
	p.timer = time.AfterFunc(timeout/lookAgain, p.look)
	p.mu.Unlock()
	return ctx, p.stop
}

func (p *patience) stop() {
	p.mu.Lock()
	p.stopped = true
	p.timer.Stop()
	p.mu.Unlock()
	p.cancel(nil)
}

// look is called by the timer.
func (p *patience) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	if wait := p.next(p.c.now()); wait > 0 {
		p.due = p.c.now() + wait
		p.timer.Reset(wait)
		return
	}
	p.cancel(context.DeadlineExceeded)
}

// next returns when to look again; 0: the time is over.
func (p *patience) next(now time.Duration) time.Duration {
	timeout, limit := p.c.protocol.CloseTimeout, p.c.config.maxLinger()
	taken, left, _ := p.c.taken()
	if taken > p.taken || left == 0 && !p.acknowledged {
		p.taken, p.since = taken, now
	}
	p.acknowledged = left == 0
	whole := timeout
	if p.acknowledged {
		whole = max(whole, p.since-p.begin)
	}
	rest := min(p.since+whole, p.begin+limit) - now
	switch {
	case rest <= 0 && now-p.due > timeout/lookAgain && !p.late:
		p.late = true
		return timeout / lookAgain
	case p.acknowledged:
		return max(rest, 0)
	}
	return max(min(rest, timeout/lookAgain), 0)
}
