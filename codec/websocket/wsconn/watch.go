package wsconn

import (
	"context"
	"net"
	"sync"
	"time"
)

// token is the right to do something that one goroutine may do at a time. Its capacity is 1.
type token chan struct{}

// take waits for the token.
func (t token) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try takes the token if nobody has it.
func (t token) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t token) give() { <-t }

// watch has a connection's reads or writes fail as soon as a context ends. It stays on the context until another one comes, so
// that one context for many calls costs something once.
type watch struct {
	nc  net.Conn
	set func(net.Conn, time.Time) error // the deadline of reads, or that of writes

	mu   sync.Mutex
	done <-chan struct{} // the context's; nil: there is none to watch
	stop func() bool
	hit  bool // it has ended, and the deadline is in the past
}

// on begins to watch ctx, in the place of the one before. The error is that it has ended.
func (w *watch) on(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	if done == w.done {
		return nil
	}
	w.forget()
	if done != nil {
		w.done = done
		w.stop = context.AfterFunc(ctx, func() { w.ended(done) })
	}
	return nil
}

// off ends watching.
func (w *watch) off() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
}

func (w *watch) forget() {
	if w.done == nil {
		return
	}
	w.stop()
	w.done, w.stop = nil, nil
	if w.hit {
		w.hit = false
		w.set(w.nc, time.Time{})
	}
}

// ended is called when a context has ended, whether it is still watched or not.
func (w *watch) ended(done <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done != done {
		return
	}
	w.hit = true
	if w.set(w.nc, time.Unix(1, 0)) != nil { // without deadlines that is the only way
		w.nc.Close()
	}
}
