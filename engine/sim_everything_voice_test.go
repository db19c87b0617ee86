package engine_test

import (
	"errors"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// voice is a Protocol of a speaker's, of which SetProtocol may give it several. What optional
// methods it has differs.
type voice struct {
	s        *speaker
	replaced bool
	fin      bool // ReadClosed was called
	hears    bool // has ReadClosed
	recovers bool // has Recovered
	stops    bool // has Shutdown
	told     bool // Shutdown was called
	closed   int
	fed      int
}

// change makes the next Protocol.
func (s *speaker) change() engine.Protocol {
	if s.now != nil {
		s.now.replaced = true
	}
	v := &voice{s: s}
	s.now = v
	kind := s.rng.IntN(6)
	v.hears, v.stops, v.recovers = kind == 1 || kind > 3, kind == 2 || kind > 3, kind > 3
	switch kind {
	case 0:
		return v
	case 1:
		return struct {
			*voice
			readCloses
			drains
		}{v, readCloses{v}, drains{v}}
	case 2:
		return struct {
			*voice
			idles
			shutsDown
		}{v, idles{v}, shutsDown{v}}
	case 3:
		return struct {
			*voice
			receives
		}{v, receives{v}}
	}
	return struct {
		*voice
		readCloses
		drains
		idles
		shutsDown
		receives
		recovers
	}{v, readCloses{v}, drains{v}, idles{v}, shutsDown{v}, receives{v}, recovers{v}}
}

// call begins a call of the Protocol.
func (v *voice) call(what string) (end func()) {
	s := v.s
	switch {
	case v.replaced:
		s.w.failf("%s: %s of a Protocol that was replaced", s.name, what)
	case s.done:
		s.w.failf("%s: %s after Closed", s.name, what)
	}
	return s.w.call(s.name + ": " + what)
}

type (
	readCloses struct{ v *voice }
	drains     struct{ v *voice }
	idles      struct{ v *voice }
	shutsDown  struct{ v *voice }
	receives   struct{ v *voice }
	recovers   struct{ v *voice }
)

// Recovered has a last word, which must arrive.
func (m recovers) Recovered(reason *engine.PanicError) {
	s := m.v.s
	defer m.v.call("Recovered")()
	s.last = false
	if reason == nil || reason.Value == nil {
		s.w.failf("%s: Recovered without a panic", s.name)
	}
	s.closing, s.silent = true, true
	if one(s.rng, 3) {
		s.w.boom(s.rng)
	}
	b := s.next(surely, upTo(s.rng, 8))
	if _, err := s.conn.Write(b); err == nil {
		s.said[surely]++
		s.order++
	} else if err != engine.ErrClosed && err != engine.ErrWriteClosed && !errors.Is(err, engine.ErrOutboundLimit) {
		s.w.failf("%s: Write in Recovered: %v", s.name, err)
	}
}

func (m readCloses) ReadClosed() {
	s := m.v.s
	defer m.v.call("ReadClosed")()
	s.heardAll("ReadClosed")
	if m.v.fin {
		s.w.failf("%s: ReadClosed again", s.name)
	}
	s.fin, m.v.fin = true, true
	if s.act(); one(s.rng, 3) { // else it must be by Close at another time
		s.close()
	}
}

func (m drains) Drained() {
	s := m.v.s
	defer m.v.call("Drained")()
	low := s.w.low
	if s.marked {
		low = s.low
	}
	if n := s.conn.Outbound(); n > low {
		s.w.failf("%s: Drained with %d bytes in the queue", s.name, n)
	}
	s.act()
}

func (m idles) Idle() bool {
	s := m.v.s
	defer m.v.call("Idle")()
	if since := s.w.net.Now() - s.fed; s.idle == 0 || since < s.idle {
		s.w.failf("%s: Idle after %v, want %v", s.name, since, s.idle)
	}
	if s.v != nil && s.v.p.Unread() > 0 {
		s.w.failf("%s: Idle, and %d bytes wait to be read", s.name, s.v.p.Unread())
	}
	s.act()
	return one(s.rng, 2)
}

func (m shutsDown) Shutdown() {
	s := m.v.s
	defer m.v.call("Shutdown")()
	if !s.w.ending {
		s.w.failf("%s: Shutdown without reason", s.name)
	}
	m.v.told = true
	if s.act(); one(s.rng, 2) {
		s.setDeadline(time.Second)
		return
	}
	s.close()
}

func (m receives) Posted(tag uint32, b []byte) {
	s := m.v.s
	defer m.v.call("Posted")()
	if int(tag) != len(b) || len(b) > 0 && b[len(b)-1] != pattern(len(b)) {
		s.w.failf("%s: Posted got %d bytes, the tag says %d", s.name, len(b), tag)
	}
	s.act()
}
