package handover

import (
	"context"
	"time"
)

// run steps until it is over, or ctx is done.
func run(ctx context.Context, w Waiter, step func(time.Time) plan, fail func(error) plan) {
	stop := context.AfterFunc(ctx, w.Wake)
	defer stop()
	for {
		if ctx.Err() != nil {
			fail(context.Cause(ctx))
			return
		}
		now := time.Now()
		p := step(now)
		if p.over {
			return
		}
		wait := maxWait
		if !p.deadline.IsZero() {
			wait = min(wait, p.deadline.Sub(now))
		}
		if err := w.Wait(p.write, wait); err != nil {
			fail(err)
			return
		}
	}
}

const maxWait = time.Hour

// wake ends a Wait of t, if there can be one.
func wake(t Transport) {
	if w, ok := t.(Waiter); ok {
		w.Wake()
	}
}
