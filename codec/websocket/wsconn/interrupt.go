package wsconn

import (
	"context"
	"net"
	"sync"
	"time"
)

// interrupter makes the reads or writes of a connection fail as soon as a context ends. It keeps
// following that context until it gets another one, so many calls in a row with the same context
// register with it only once.
type interrupter struct {
	nc          net.Conn
	setDeadline func(net.Conn, time.Time) error // of reads, or of writes

	mu          sync.Mutex
	done        <-chan struct{} // the context's; nil: there is none to follow
	stop        func() bool
	interrupted bool // the deadline is in the past
}

// follow follows ctx from now on, and no other context. The error is the cause of ctx's end if it
// has ended already.
func (i *interrupter) follow(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := ctx.Done()
	i.mu.Lock()
	defer i.mu.Unlock()
	if done == i.done {
		return nil
	}
	i.forget()
	if done != nil {
		i.done = done
		i.stop = context.AfterFunc(ctx, func() { i.ended(done) })
	}
	return nil
}

// release stops following.
func (i *interrupter) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forget()
}

func (i *interrupter) forget() {
	if i.done != nil {
		i.stop()
		i.done, i.stop = nil, nil
	}
	if i.interrupted {
		i.interrupted = false
		i.setDeadline(i.nc, time.Time{})
	}
}

// ended is called when a context has ended, even if it is no longer followed.
func (i *interrupter) ended(done <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.done == done {
		i.interrupt()
	}
}

// now interrupts without a context, until another one is followed.
func (i *interrupter) now() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.interrupt()
}

func (i *interrupter) interrupt() {
	i.interrupted = true
	if i.setDeadline(i.nc, time.Unix(1, 0)) != nil { // without deadlines that is the only way
		i.nc.Close()
	}
}
