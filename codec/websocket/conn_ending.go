package websocket

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// endings are the functions to call when connections end, added by any goroutine. Connections for
// which there is none cost one look at a counter when they end, and no memory.
type endings struct {
	count atomic.Int64
	mu    sync.Mutex
	of    map[*Conn]*ending // the first of a list
}

var ends endings

// ending is one of them.
type ending struct {
	f          func()
	next, prev *ending
}

// add makes e.f be called when c ends. It reports false, and does nothing, if c has ended.
func (s *endings) add(c *Conn, e *ending) bool {
	s.count.Add(1) // before Closed is asked: either it reports true, or end sees the count
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Handle().Closed() {
		s.count.Add(-1)
		return false
	}
	if s.of == nil {
		s.of = make(map[*Conn]*ending)
	}
	if e.next = s.of[c]; e.next != nil {
		e.next.prev = e
	}
	s.of[c] = e
	return true
}

// remove takes e back. It reports false if e.f has been called, or will be in this moment.
func (s *endings) remove(c *Conn, e *ending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.prev == nil && s.of[c] != e {
		return false
	}
	s.count.Add(-1)
	if e.next != nil {
		e.next.prev = e.prev
	}
	switch {
	case e.prev != nil:
		e.prev.next = e.next
	case e.next != nil:
		s.of[c] = e.next
	default:
		delete(s.of, c)
	}
	e.next, e.prev = nil, nil
	return true
}

// end calls what was added for c. The engine's part of c is closed already.
func (s *endings) end(c *Conn) {
	if s.count.Load() == 0 {
		return
	}
	s.mu.Lock()
	first := s.of[c]
	delete(s.of, c)
	for e := first; e != nil; e = e.next {
		e.prev = nil
		s.count.Add(-1)
	}
	s.mu.Unlock()
	for e := first; e != nil; {
		next := e.next
		e.next = nil
		e.f()
		e = next
	}
}

// connContext is a context that ends with a connection. Nothing is kept for it until it is asked.
type connContext struct {
	context.Context // for its values
	c               *Conn
	once            sync.Once
	done            chan struct{}
}

// Context returns a context that ends when the connection is closed: for work that is done for it
// by other goroutines. From Open on, it is the same one each time, until the connection is closed.
func (c *Conn) Context() context.Context {
	r := c.makeRare()
	if r.context == nil { // not one each time: what Done adds is there until the end
		r.context = &connContext{Context: context.Background(), c: c}
	}
	return r.context
}

func (x *connContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (x *connContext) Done() <-chan struct{} {
	x.once.Do(func() {
		x.done = make(chan struct{})
		if !ends.add(x.c, &ending{f: func() { close(x.done) }}) {
			close(x.done)
		}
	})
	return x.done
}

func (x *connContext) Err() error {
	select {
	case <-x.Done():
		return context.Canceled
	default:
		return nil
	}
}

// AfterFunc is what package context looks for, so that contexts derived from x need no goroutine. f
// may ask for Err, which reports the end only once Done is closed.
func (x *connContext) AfterFunc(f func()) (stop func() bool) {
	late := func() {
		<-x.Done()
		f()
	}
	e := &ending{f: func() { go late() }}
	if !ends.add(x.c, e) {
		go late()
		return func() bool { return false }
	}
	return func() bool { return ends.remove(x.c, e) }
}
