package engine_test

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// act does something with the connection, or nothing, in whatever call is under way.
func (s *speaker) act() {
	for range s.rng.IntN(3) {
		x := s.rng.Uint64() // each act draws from its own source, so that shrink can leave it out
		if s.w.tr.keeps(s.fault()) {
			s.do(rand.New(rand.NewPCG(x, 1)))
		}
	}
}

func (s *speaker) do(rng *rand.Rand) {
	switch c := s.conn; rng.IntN(20) {
	default:
		s.say(rng)
	case 12:
		if one(rng, 3) {
			s.paused = true
			c.PauseRead()
		}
	case 13:
		s.paused = false
		c.ResumeRead()
	case 14:
		s.sendByHandle(rng, upTo(rng, 9))
	case 15:
		s.later(rng)
	case 16:
		s.post(rng)
	case 17:
		if s.now != nil && !s.done && !s.closing {
			c.SetProtocol(s.change())
		}
	case 18:
		s.tune(rng)
	case 19:
		if s.wild && one(rng, 4) {
			s.stop(rng)
		}
	}
}

// say writes one record or several, in one of the ways that there are.
func (s *speaker) say(rng *rand.Rand) {
	c, n := s.conn, upTo(rng, 8)
	if one(rng, 12) {
		n = 16<<10 - 100 + rng.IntN(20<<10)
	}
	if s.room -= n; s.room < 0 {
		return
	}
	switch rng.IntN(10) {
	default:
		_, err := c.Write(s.next(surely, n))
		s.accepted(surely, err)
	case 1, 2:
		b := c.AvailableBuffer()
		if len(b) > 0 || cap(b) < 16<<10 {
			s.w.failf("%s: AvailableBuffer has %d bytes, room for %d", s.name, len(b), cap(b))
		}
		_, err := c.Write(append(b, s.next(surely, n)...))
		s.accepted(surely, err)
		for range upTo(rng, 3) {
			record := s.next(surely, upTo(rng, 8))
			if r := c.Reserve(len(record)); r != nil && one(rng, 4) { // and nothing is appended
				copy(r[:len(record)], "not to be sent")
			} else if r != nil {
				record = append(r, record...)
			}
			_, err := c.Write(record)
			s.accepted(surely, err)
		}
	case 3:
		b := s.next(surely, n)
		k := rng.IntN(len(b) + 1)
		_, err := c.Writev(b[:k], b[k:])
		s.accepted(surely, err)
	case 4:
		b := s.next(surely, n)
		k := rng.IntN(len(b) + 1)
		_, err := c.Writev(b[:k/2], b[k/2:k], nil, b[k:])
		s.accepted(surely, err)
	case 5:
		c.AvailableBuffer()      // and nothing is appended
		for range upTo(rng, 9) { // up to more than go out in one system call
			s.accepted(surely, c.WriteShared(s.next(surely, rng.IntN(30)), engine.SlowWait))
		}
		b := s.next(surely, 20<<10)
		_, err := c.Writev(b[:headerSize], b[headerSize:])
		s.accepted(surely, err)
	case 9:
		if r := c.Reserve(headerSize + n); r != nil { // maybe nothing was written before
			c.Commit(append(r, s.next(surely, n)...))
			s.accepted(surely, nil)
		}
	case 8:
		for range upTo(rng, 3) {
			_, err := c.Write(s.next(surely, 10<<10))
			s.accepted(surely, err)
		}
	case 6, 7:
		slow, class := engine.SlowPolicy(rng.IntN(int(engine.SlowPolicies))), surely
		if slow == engine.SlowDropNewest || slow == engine.SlowDropOldest {
			class = droppable
		}
		for range 1 + rng.IntN(5) {
			s.accepted(class, c.WriteShared(s.next(class, n%4000), slow))
		}
	}
}

// next is the next record, which is said only if it is accepted.
func (s *speaker) next(class, n int) []byte { return record(class, n, s.said[class], s.order) }

func (s *speaker) accepted(class int, err error) {
	switch {
	case err == nil && (s.silent || s.done):
		s.w.failf("%s: a record was accepted after the end", s.name)
	case err == nil:
		s.said[class]++
		s.order++
	case errors.Is(err, engine.ErrOutboundLimit), errors.Is(err, engine.ErrClosed):
		s.silent, s.closing = true, true
	case !errors.Is(err, engine.ErrWriteClosed) || !s.silent:
		s.w.failf("%s: Write: %v", s.name, err)
	}
}

// sendByHandle is for any goroutine. What follows it tells whether it was written: an empty Write
// says if Writes are refused.
func (s *speaker) sendByHandle(rng *rand.Rand, n int) {
	h := s.conn.Handle()
	if err := h.Send(record(sent, n, s.said[sent], 0)); err != nil {
		s.refused("Send", err)
		return
	}
	s.said[sent]++
	upTo := s.said[sent]
	h.Post(func(c *engine.Conn) {
		defer s.w.call("the look at Send")()
		if _, err := c.Write(nil); err == nil {
			s.sent = max(s.sent, upTo)
		}
	})
}

// refused: a Handle's methods fail only for these reasons.
func (s *speaker) refused(what string, err error) {
	if err != engine.ErrBusy && (err != engine.ErrClosed || !s.conn.Handle().Closed()) {
		s.w.failf("%s: %s: %v", s.name, what, err)
	}
}

// over: the connection has ended; without a Protocol only take is told.
func (s *speaker) over() bool { return s.done || s.taken > 0 }

// later sets a timer, and may stop it.
func (s *speaker) later(rng *rand.Rand) {
	d := time.Duration(upTo(rng, 12)) * time.Millisecond
	due, called, stopped := s.w.net.Now()+d, false, s.over() // by the end of the connection
	t := s.conn.AfterFunc(d, func() {
		defer s.w.call("AfterFunc")()
		if now := s.w.net.Now(); called || stopped || s.done || now < due {
			s.w.failf("%s: AfterFunc at %v, want %v; called: %v, stopped: %v", s.name, now, due, called, stopped)
		}
		called = true
		s.act()
	})
	if one(rng, 3) {
		if stopped = true; t.Stop() == s.over() || t.Stop() {
			s.w.failf("%s: Stop does not say whether it stopped the timer", s.name)
		}
	}
}

// post asks by the Handle.
func (s *speaker) post(rng *rand.Rand) {
	h := s.conn.Handle()
	switch rng.IntN(4) {
	case 0:
		n := upTo(rng, 12)
		b := make([]byte, n)
		b[n-1] = pattern(n)
		if err := h.PostBytes(uint32(n), b); err != nil {
			s.refused("PostBytes", err)
		}
		b[n-1]++ // it was copied
	case 1:
		if h.Loop() != s.conn.Loop() {
			s.w.failf("%s: the handle is for loop %d, the connection is on %d", s.name, h.Loop(), s.conn.Loop())
		}
		if s.wild && one(rng, 8) {
			h.Close()
		}
	default:
		err := h.Post(func(c *engine.Conn) {
			defer s.w.call("Post")()
			if c != s.conn || s.done {
				s.w.failf("%s: Post is for another connection, or a closed one", s.name)
			}
			s.act()
		})
		if err != nil {
			s.refused("Post", err)
		}
	}
}

// tune sets timeouts and options.
func (s *speaker) tune(rng *rand.Rand) {
	c, d, now := s.conn, time.Duration(upTo(rng, 14))*time.Millisecond, s.w.net.Now()
	var err error
	switch rng.IntN(12) {
	case 0, 1:
		if !s.closing {
			s.idle, s.fed = d, now
			c.SetIdleTimeout(d)
		}
	case 2:
		if s.wild && !s.closing {
			s.setDeadline(d)
		}
	case 3:
		if !s.closing && !s.w.ending { // Shutdown counts on it
			s.idle = 0
			c.SetIdleTimeout(0)
			c.SetTimeout(0)
		}
	case 4:
		err = c.SetNoDelay(one(rng, 2))
	case 5:
		err = c.SetKeepAlive(d)
	case 6:
		err = c.SetReadBuffer(upTo(rng, 12))
	case 7:
		err = c.SetWriteBuffer(upTo(rng, 16))
	case 8:
		if err = c.SetLinger(-1); s.wild && one(rng, 4) {
			s.abrupt = true
			err = c.SetLinger(0)
		}
	case 9:
		s.setWatermarks(upTo(rng, 12)-1, upTo(rng, 11)-1)
	case 10:
		if s.wild && !s.closing && s.now != nil && one(rng, 2) {
			s.setReplyTimeout(d)
		}
	case 11:
		c.SetGreedy(one(rng, 2))
	}
	if err != nil && (err != engine.ErrClosed || !c.Handle().Closed()) {
		s.w.failf("%s: an option: %v", s.name, err)
	}
}

func (s *speaker) setDeadline(d time.Duration) {
	if due := s.w.net.Now() + d; s.deadline == 0 || due < s.deadline {
		s.deadline = due
	}
	s.conn.SetTimeout(d)
}

// setReplyTimeout may end the connection as early as SetTimeout, and postpones the idle timeout for
// ever.
func (s *speaker) setReplyTimeout(d time.Duration) {
	if due := s.w.net.Now() + d; s.deadline == 0 || due < s.deadline {
		s.deadline = due
	}
	s.conn.SetReplyTimeout(d)
}

func (s *speaker) setWatermarks(high, low int) {
	s.conn.SetWatermarks(high, low)
	s.marked, s.low = high > 0, low
	if low <= 0 || low > high {
		s.low = high / 4
	}
}

func (s *speaker) close() {
	s.closing, s.silent = true, true
	s.conn.Close()
}

// stop does what ends the connection.
func (s *speaker) stop(rng *rand.Rand) {
	switch c := s.conn; rng.IntN(7) {
	case 0, 1:
		s.close()
	case 2:
		s.silent = true
		c.CloseWrite()
	case 3:
		s.closing, s.silent = true, true
		c.Abort()
	case 4, 5:
		if one(rng, 2) {
			s.release()
		}
	case 6:
		// unless the call was not the connection's, which does not matter
		s.closing, s.silent = true, true
		if s.now != nil && s.now.recovers && engine.IsCalling(c) {
			s.last = true
		}
		s.w.boom(rng)
	}
}

func (s *speaker) release() {
	err := s.conn.Release(func(nc net.Conn, unread, unsent []byte, err error) {
		defer s.w.call("take")()
		s.taken++
		if nc != nil || err == nil || !s.done && s.now != nil {
			s.w.failf("%s: take got %v, %v, and Closed was called: %v", s.name, nc, err, s.done)
		}
		s.act()
	})
	switch {
	case err == nil && s.done:
		s.w.failf("%s: released when it was closed", s.name)
	case err == nil:
		s.released, s.closing, s.silent = true, true, true
	case err != engine.ErrClosed:
		s.w.failf("%s: Release: %v", s.name, err)
	}
}
