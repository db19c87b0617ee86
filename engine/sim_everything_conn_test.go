package engine_test

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// speaker is the server's side of one connection: what it has said, and what it knows of its life.
type speaker struct {
	w    *world
	rng  *rand.Rand
	name string
	conn *engine.Conn
	v    *visitor // nil if the peer is not known: it has reset the connection before
	now  *voice   // nil before accept has returned, and if it returned none
	wild bool     // does what ends connections, too
	acts int
	room int // bytes that it may still say

	share turnShare

	said   [classes]uint32 // records by their class; of Handle.Send: given to it
	sent   uint32          // of those, how many were written for certain
	order  uint32
	silent bool // nothing more is accepted

	message  int    // the length of what it takes for one
	consumed int    // bytes
	offered  int    // bytes
	unmasked int    // bytes below that Feed has changed in place
	owed     string // why it must be fed again before the peer's FIN is told; "": it need not
	paused   bool
	fin      bool // ReadClosed was called
	deaf     int  // turns in which the next Protocol should have been told so
	untold   int  // turns in which its Protocol should have been told of the shutdown
	closing  bool // by a call of its own, or because an error said so

	fed      time.Duration // when a byte came last, or the idle timeout was set
	idle     time.Duration
	deadline time.Duration // the earliest that was ever set
	marked   bool          // SetWatermarks is in force, with low
	low      int

	last     bool // Recovered is to be called
	abrupt   bool // SetLinger(0)
	opened   bool // Observer.Opened was called
	observed bool // Observer.Closed was called
	released bool
	taken    int // calls of take
	done     bool
	reason   error
}

func (w *world) accept(c *engine.Conn) engine.Protocol {
	defer w.call("accept")()
	w.accepts++
	return w.speak(c, c.RemoteAddr().Port())
}

// speak begins a speaker for a new connection.
func (w *world) speak(c *engine.Conn, port uint16) engine.Protocol {
	s := &speaker{w: w, conn: c, v: w.byPort[port], name: "connection " + strconv.Itoa(len(w.speakers))}
	s.rng = rand.New(rand.NewPCG(w.tr.seed, 1<<32+uint64(len(w.speakers))))
	if s.v != nil {
		s.name = "connection from " + strconv.Itoa(int(port))
		s.rng = rand.New(rand.NewPCG(w.tr.seed, 1<<33+uint64(port)))
		s.v.s = s
	}
	s.wild, s.room, s.message = one(s.rng, 2), upTo(s.rng, 17), upTo(s.rng, 13)
	s.fed = w.net.Now()
	w.speakers, w.byConn[c] = append(w.speakers, s), s
	if got := c.LocalAddr(); !got.IsValid() {
		w.failf("%s has no local address", s.name)
	}
	s.act()
	if one(s.rng, 20) {
		w.refusals++
		return nil
	}
	return s.change()
}

// Feed takes messages of equal length, and now and then less or more than it should.
func (v *voice) Feed(b []byte) (n int, err error) {
	s := v.s
	defer v.call("Feed")()
	s.check(b)
	if s.closing || s.released {
		s.w.failf("%s: Feed of a connection that was told to end", s.name)
	}
	s.beginShare(max(s.consumed+len(b)-s.offered, 0), v.fed == 0)
	defer s.endShare()
	v.fed++
	s.owed = ""
	if s.offered < s.consumed+len(b) {
		s.offered, s.fed = s.consumed+len(b), s.w.net.Now()
	}
	defer func() {
		if n >= 0 && n <= len(b) {
			s.consumed += n
		}
	}()
	for len(b)-n >= s.message {
		if s.wild && one(s.rng, 300) {
			return []int{-1, len(b) + 1}[s.rng.IntN(2)], nil
		}
		if s.wild && one(s.rng, 300) {
			return n, s.enough()
		}
		n += s.message
		s.act()
		s.w.yields++
		s.toil()
		stop := s.conn.Yield()
		s.yielded(stop, s.now != v)
		if n < len(b) && !s.closing && (stop || one(s.rng, 50)) {
			switch {
			case s.now != v:
				s.owed = "the new Protocol was not fed what is left"
			case stop && s.paused:
				s.owed = "it is paused, with messages that were not consumed"
			case stop && len(b)-n >= s.message:
				s.owed = "it has yielded, with messages that were not consumed"
			}
			if s.owed != "" {
				break
			}
		}
		if stop || s.closing {
			break
		}
		if s.now != v {
			break
		}
	}
	if left := b[n:]; len(left) > 0 && one(s.rng, 10) { // unmask a part
		from := max(s.unmasked, s.consumed+n)
		for s.unmasked = from; s.unmasked < s.consumed+len(b) && !one(s.rng, 100); s.unmasked++ {
			b[s.unmasked-s.consumed] ^= 0x55
		}
	}
	if one(s.rng, 20) {
		s.message = upTo(s.rng, 13)
	}
	return n, nil
}

// check compares b with what the peer has sent.
func (s *speaker) check(b []byte) {
	if s.v != nil && s.consumed+len(b) > s.v.sent {
		s.w.failf("%s: %d bytes came of %d", s.name, s.consumed+len(b), s.v.sent)
	}
	if s.unmasked <= s.consumed && isPattern(b, s.consumed) {
		return
	}
	for i, c := range b {
		want := pattern(s.consumed + i)
		if s.consumed+i < s.unmasked {
			want ^= 0x55
		}
		if c != want {
			s.w.failf("%s: byte %d is %d, want %d", s.name, s.consumed+i, c, want)
			return
		}
	}
}

// heardAll is for the peer's FIN: everything before it must have been fed.
func (s *speaker) heardAll(what string) {
	if s.v != nil && s.offered != s.v.sent {
		s.w.failf("%s: %s after %d bytes of %d", s.name, what, s.offered, s.v.sent)
	}
	if s.owed != "" {
		s.w.failf("%s: %s, but %s", s.name, what, s.owed)
	}
}

// hearsSoon is called after each turn: a Protocol that SetProtocol has set behind the peer's FIN is
// told of it in the next one, without anything else that happens.
func (s *speaker) hearsSoon() {
	if !s.fin || s.now.fin || !s.now.hears || s.over() || s.closing || s.paused || s.consumed != s.offered {
		s.deaf = 0
	} else if s.deaf++; s.deaf > 3 {
		s.w.failf("%s: the Protocol that SetProtocol has set does not hear of the peer's FIN", s.name)
	}
}

// toldSoon is called after each turn: while the engine shuts down, a Protocol that SetProtocol has
// set meanwhile is told, too.
func (s *speaker) toldSoon() {
	if s.now == nil || !s.now.stops || s.now.told || s.over() || !engine.IsOpen(s.conn) ||
		!engine.IsStopping(s.conn) {
		s.untold = 0
	} else if s.untold++; s.untold > 10 {
		s.w.failf("%s: its Protocol is not told of the shutdown", s.name)
	}
}

// Closed is where all that was promised is looked at.
func (v *voice) Closed(err error) {
	s := v.s
	defer v.call("Closed")()
	disarm(err)
	v.closed++
	s.done, s.reason = true, err
	s.w.closed[causeOf(err)]++
	var unsent *engine.UnsentError
	switch {
	case errors.Is(err, engine.ErrTimeout) && (s.deadline == 0 || s.w.net.Now() < s.deadline):
		s.w.failf("%s: ErrTimeout at %v, want %v", s.name, s.w.net.Now(), s.deadline)
	case errors.Is(err, engine.ErrPeerClosed) && !errors.As(err, &unsent) && !s.fin:
		s.heardAll("ErrPeerClosed")
	case errors.Is(err, engine.ErrShutdown) && !s.w.ending:
		s.w.failf("%s: ErrShutdown without reason", s.name)
	}
	if s.last {
		s.w.failf("%s: a call has panicked, and Recovered was not called", s.name)
	}
	s.closing, s.silent = true, true
	if n, err := s.conn.Write([]byte("x")); n != 0 || err != engine.ErrClosed {
		s.w.failf("%s: Write in Closed: %d, %v", s.name, n, err)
	}
	s.act()
}

// ended looks at the speaker when the engine has ended.
func (s *speaker) ended() {
	switch {
	case s.now != nil && s.now.closed != 1: // without one accept has panicked, or has returned none
		s.w.failf("%s: Closed was called %d times", s.name, s.now.closed)
	case s.released != (s.taken == 1) || s.taken > 1:
		s.w.failf("%s: take was called %d times, released: %v", s.name, s.taken, s.released)
	case !s.conn.Handle().Closed():
		s.w.failf("%s is not closed", s.name)
	}
}

// fault names one act for shrink.
func (s *speaker) fault() sim.Fault {
	s.acts++
	return sim.Fault{Name: "Act", At: s.name, Chance: s.acts}
}
