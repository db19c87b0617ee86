package engine

import (
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// Timer is a pending call of AfterFunc. Its method may be called only on the loop of the connection
// or socket.
type Timer struct {
	loop       *loop
	conn       *Conn // nil: it belongs to a socket, or to the loop itself
	packets    *PacketConn
	next, prev *Timer // other timers of the connection or socket
	f          func()
	id         wheel.ID
	slot, gen  uint32
	rest       time.Duration // to wait when it fires, of more than longest
	stays      bool          // LeaveBehind
}

// link puts t at the front of a list.
func (t *Timer) link(list **Timer) {
	t.next = *list
	if t.next != nil {
		t.next.prev = t
	}
	*list = t
}

// afterFunc is AfterFunc for the loop itself.
func (l *loop) afterFunc(d time.Duration, f func()) *Timer {
	t := &Timer{loop: l, f: f}
	l.start(t, d)
	return t
}

func (l *loop) start(t *Timer, d time.Duration) {
	t.slot, t.gen = l.timers.Insert(t)
	l.set(t, d)
}

func (l *loop) set(t *Timer, d time.Duration) {
	t.rest = max(d-longest, 0)
	t.id = l.addTimer(l.after(d), t.slot|timerKey)
}

// Stop prevents the call. It reports whether it did: false if the call was made or stopped before.
func (t *Timer) Stop() bool {
	if t.id == 0 {
		return false
	}
	t.loop.checkTurn()
	t.loop.wheel.Remove(t.id)
	t.unlink()
	return true
}

// LeaveBehind lets the connection move to another process without the timer: see Handover. The
// function cannot move, so without LeaveBehind a connection with a timer is not moved. Whoever
// needs the timer there starts it again in the Loader. It returns t.
func (t *Timer) LeaveBehind() *Timer {
	t.stays = true
	return t
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
