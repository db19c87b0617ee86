package wsgnet

import (
	"context"

	"github.com/panjf2000/gnet/v2"
)

// turns has the connections of a loop that have used up their share and have something left. Many
// of them must not hold the loop together: so one is served, for a share, and then the loop looks
// at all connections before the next one is. Only the loop uses it, except users.
type turns struct {
	loop   gnet.EventLoop
	users  int // connections that have it; Server.turnsLock guards it
	queue  []*Conn
	posted bool // next is
}

// turnsOf returns the turns of loop, for one connection.
func (s *Server) turnsOf(loop gnet.EventLoop) *turns {
	s.turnsLock.Lock()
	defer s.turnsLock.Unlock()
	t := s.turns[loop]
	if t == nil {
		if s.turns == nil {
			s.turns = make(map[gnet.EventLoop]*turns)
		}
		t = &turns{loop: loop}
		s.turns[loop] = t
	}
	t.users++
	return t
}

// leaveTurns is called when a connection ends: a Server can serve many engines, one after another.
func (s *Server) leaveTurns(t *turns) {
	s.turnsLock.Lock()
	defer s.turnsLock.Unlock()
	if t.users--; t.users == 0 {
		delete(s.turns, t.loop)
	}
}

// add puts c at the end of the queue.
func (t *turns) add(c *Conn) {
	if !c.queued {
		c.queued = true
		t.queue = append(t.queue, c)
	}
	t.post()
}

// others reports whether a connection other than c waits.
func (t *turns) others(c *Conn) bool {
	return len(t.queue) > 1 || len(t.queue) == 1 && t.queue[0] != c
}

// post makes the next turn come, unless that is done.
func (t *turns) post() {
	if t.posted || len(t.queue) == 0 {
		return
	}
	t.posted = true
	// What the loop posts to itself, gnet does before it looks at the others. An error means that
	// the engine ends.
	go t.loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		t.next()
		return nil
	}))
}

// next serves the first connection that is open. The turn behind it is posted last: one that is
// posted while this one goes on would come before the loop has looked at the others.
func (t *turns) next() {
	t.posted = false
	defer t.post() // also if a callback panics
	for len(t.queue) > 0 {
		c := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		c.queued, c.resuming = false, false
		if c.state == open {
			c.resume()
			return
		}
	}
}
