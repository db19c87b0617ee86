package engine_test

import "github.com/myriadnet/myriad/engine"

// turnShare is what a speaker knows of its connection's share of a turn: whatever events and calls
// it is for, the connection has one share, or two in the middle of something large.
type turnShare struct {
	turn int // of world.turns, in which Feed was called last
	// What Feeds of that turn have used for certain. The share is used up by one of them.
	read, messages, work int
	counted              int // what the engine may have counted, at most

	// The same for the Feed in progress.
	now struct {
		read, messages, work int
		allowed              int    // of the share, in bytes
		vague                bool   // the Feed before may have used some of what this one may
		wrote, writes        uint64 // of the loop, when it began
	}
}

// toiled returns the work of the Feed in progress, or what was written during it.
func (s *speaker) toiled() int {
	u := &s.share
	writes := int(engine.Writes(s.conn) - u.now.writes)
	return max(u.now.work, int(engine.Wrote(s.conn)-u.now.wrote), writes*engine.EventWork)
}

// beginShare is called when Feed begins, with the number of bytes that it is offered for the first
// time. fresh is whether its Protocol is fed for the first time.
func (s *speaker) beginShare(read int, fresh bool) {
	u := &s.share
	// The engine tells turns that are a multiple of 256 apart by what it has counted.
	again := s.w.turns > u.turn && (s.w.turns-u.turn)%256 == 0
	if u.turn != s.w.turns {
		*u = turnShare{turn: s.w.turns}
	}
	bytes, messages := s.w.eng.Share()
	if u.now.allowed = bytes; engine.KeepsReading(s.conn) {
		u.now.allowed = 2 * bytes
	}
	u.now.read, u.now.messages, u.now.work, u.now.vague = read, 0, 0, fresh || again || engine.TakesLong(s.conn)
	u.now.wrote, u.now.writes = engine.Wrote(s.conn), engine.Writes(s.conn)
	used := max(u.messages*(bytes/messages), u.work)
	if !fresh { // else the Feed before may have been offered these bytes, too
		used = max(used, u.read)
	}
	if used >= u.now.allowed {
		s.w.failf("%s: Feed in a turn of which it has used %d bytes of %d", s.name, used, u.now.allowed)
	}
}

// toil is work that is not in proportion to the input.
func (s *speaker) toil() {
	if one(s.rng, 16) { // others have to wait for the next turn
		engine.TakeLong(s.conn)
	}
	if !one(s.rng, 8) {
		return
	}
	bytes, _ := s.w.eng.Share()
	n := s.rng.IntN(2 << s.rng.IntN(15))
	if one(s.rng, 8) {
		n = 3 * bytes
	}
	s.conn.AddWork(n)
	s.share.now.work += n
}

// yielded is called after each message, with what Yield has said, and whether the Protocol was
// replaced meanwhile.
func (s *speaker) yielded(stop, replaced bool) {
	u := &s.share
	u.now.messages++
	bytes, messages := s.w.eng.Share()
	cost, work := bytes/messages, s.toiled()
	must := replaced || work >= bytes || u.now.messages >= messages || u.work+work >= u.now.allowed ||
		(u.messages+u.now.messages)*cost >= u.now.allowed || s.conn.Pressure() == engine.OverHighWater
	left := bytes - u.counted
	may := must || u.now.vague || !s.conn.Reading() || work >= left || (u.now.messages+1)*cost > left
	if must && !stop || stop && !may {
		s.w.failf("%s: Yield says %v, after %d messages of %d, work of %d of %d, and %+v before", s.name, stop,
			u.now.messages, messages, work, bytes, *u)
	}
}

// endShare is called when Feed ends, also by a panic.
func (s *speaker) endShare() {
	u := &s.share
	bytes, messages := s.w.eng.Share()
	least := max(bytes/64, 1)
	if s.w.tr.seed%4 != 1 { // else they may have been read in another turn
		u.read += u.now.read
	}
	u.messages += u.now.messages
	u.work += s.toiled()
	u.counted += max(u.now.read, u.now.messages*(bytes/messages), s.toiled(), least) + 2*least
}
