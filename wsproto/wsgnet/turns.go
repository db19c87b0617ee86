package wsgnet

import (
	"context"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// turns has the connections of a loop that have used up their share and have something left. Many
// of them must not hold the loop together: so some are served, for turnsShare, and then the loop
// looks at all connections before the next ones are. Only the loop uses it, except users.
type turns struct {
	loop   gnet.EventLoop
	users  int // connections that have it; Server.turnsLock guards it
	queue  []*Conn
	posted bool          // next is
	spent  time.Duration // what inflating and compressing has taken since next was called last
	looked bool          // the loop has looked at connections since then
	pause  *time.Timer   // before next is posted
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
		if t.pause != nil { // the engine may end
			t.pause.Stop()
		}
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

// left returns how much of all the time since the last turn is left.
func (t *turns) left(all time.Duration) time.Duration { return all - t.spent }

// post makes the next turn come, unless that is done.
func (t *turns) post() {
	if t.posted || len(t.queue) == 0 {
		return
	}
	t.posted = true
	// What is posted, gnet does before it looks at connections, until nothing is left. So nothing
	// posts to its own loop, and if others post so much that the last turn has come without a look,
	// there is a pause before the next one.
	if t.looked {
		go t.execute()
	} else {
		t.pause = time.AfterFunc(turnPause, t.execute)
	}
	t.looked = false
}

// execute posts next. An error means that the engine ends.
func (t *turns) execute() {
	t.loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		t.next()
		return nil
	}))
}

// next serves the first connections that are open, for turnsShare. The next turn is posted last:
// one that is posted while this one goes on would come before the loop has looked at the others.
func (t *turns) next() {
	t.posted, t.spent = false, 0
	defer t.post()                    // also if a callback panics
	end := time.Now().Add(turnsShare) // callbacks take time, too
	for len(t.queue) > 0 && t.left(turnsShare) > 0 && time.Now().Before(end) {
		c := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		c.queued, c.resuming = false, false
		if c.state == open && !c.resume() {
			return
		}
	}
}
