package engine

import (
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// Timer is a call that AfterFunc has announced. Its method may be called on the connection's loop only.
type Timer struct {
	loop       *loop
	conn       *Conn // nil: a datagram socket's, or the loop's own
	packets    *PacketConn
	next, prev *Timer // the connection's or the socket's timers
	f          func()
	id         wheel.ID
	slot, gen  uint32
}

// link puts t in front of a list.
func (t *Timer) link(list **Timer) {
	if t.next = *list; t.next != nil {
		t.next.prev = t
	}
	*list = t
}

// afterFunc is AfterFunc for the loop's own business.
func (l *loop) afterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, f: f}
	l.start(t, d)
	return t
}

func (l *loop) start(t *Timer, d time.Duration) {
	t.slot, t.gen = l.timers.Insert(t)
	t.id = l.wheel.Add(l.after(d), t.slot|timerKey)
}

// Stop keeps the call from being made. It says whether it did: false if the call was made or stopped before.
func (t *Timer) Stop() bool {
	if t.id == 0 {
		return false
	}
	t.loop.checkTurn()
	t.loop.wheel.Remove(t.id)
	t.unlink()
	return true
}

func (t *Timer) unlink() {
	t.id = 0
	t.loop.timers.Remove(t.slot, t.gen)
	if t.next != nil {
		t.next.prev = t.prev
	}
	switch {
	case t.prev != nil:
		t.prev.next = t.next
	case t.conn != nil:
		t.conn.timers = t.next
	case t.packets != nil:
		t.packets.timers = t.next
	}
	t.next, t.prev = nil, nil
}
