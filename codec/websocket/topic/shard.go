package topic

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// shard is the subscribers on one loop. Only that loop touches it, except for the inbox and the
// counters.
//
// # Memory
//
// Each subscription is a record in its entry and one in its member, of 8 bytes each: they hold the
// index of each other, so that either end finds the other and removes it at once. What only some
// subscriptions need is in entry.behind.
//
// # Fan-outs
//
// A message for thousands of subscribers is delivered in parts, between which connections have
// their turn, so subscribers come and go meanwhile: see fanout.
//
// No user code is called except by run, a Format, and Hub.Authorize: gaps wait in told.
type shard struct {
	hub  *Hub
	loop loop
	key  shardKey
	runs func() // run

	names   map[string]*entry
	entries table[*entry]
	slots   table[slot] // of members
	members int
	formats []usedFormat

	inbox inbox
	work  []item // taken from the inbox, done up to next
	next  int
	freed int // bytes of done items, for the inbox
	extra int // deliveries that the budget of run has not counted yet

	skipped uint8 // items, see skip
	fan     fanout
	told    []told
	asks    asks
	late    late
	leaving []*member   // those whose connection is closed
	ended   atomic.Bool // the loop has, or soon will: it runs nothing more

	tally    tally // for the counters
	counters *counters
}

// loop runs functions on a loop: as engine.Engine.PostTurn does.
type loop interface{ post(f func()) error }

type shardKey struct {
	engine *engine.Engine
	loop   int
}

func (k shardKey) post(f func()) error { return k.engine.PostTurn(k.loop, f) }

// shards are those of a Hub.
type shards struct {
	mu  sync.Mutex
	all map[shardKey]*shard
}

// peer is what a shard needs of a *websocket.Conn.
type peer interface {
	Send(op websocket.Opcode, data []byte) (engine.Pressure, error)
	SendPrepared(p *websocket.Prepared, slow engine.SlowPolicy) error
	Pressure() engine.Pressure
}

// slot is a member as the fan-out needs it.
type slot struct {
	peer   peer
	member *member
}

// member is a connection with subscriptions. It is attached to the connection.
type member struct {
	shard  *shard
	conn   *websocket.Conn
	id     uint32
	format uint32 // of shard.formats
	waits  int32  // subscriptions that wait until the peer has caught up
	asks   int32  // that wait, or whose answer has not been looked at
	begins int32  // entries that it has made and that have not begun: see entry.by
	held   int    // see hold
	subs   []sub
	fresh  bool // SetWriteAhead was called
	moved  bool // the connection has moved to another process
	gone   bool // it has left
	late   bool // it is in shard.late
	from   int  // of subs: see catchUp
}

// usedFormat is a Format that members have; a free place if there are none.
type usedFormat struct {
	Format
	members int
}

// sub is one end of a subscription: the other end, and its index there. In entry.subs the id is
// that of a member, with flags; in member.subs it is that of an entry.
type sub struct{ id, at uint32 }

const (
	isPending uint32 = 1 << 31 // the newest message of the entry was not sent
	isBehind  uint32 = 1 << 30 // entry.behind has more
	isClaimed uint32 = 1 << 29 // entry.claims may have more
	special          = isPending | isBehind | isClaimed
)

func (s sub) member() uint32 { return s.id &^ special }

// entry is a topic as a loop has it.
type entry struct {
	shard   *shard
	topic   *topic
	id      uint32
	begun   bool     // the broker's subscription has
	loose   bool     // a gap was told after at, whose end is not known
	cut     bool     // a gap was told after newest
	missing bool     // it is in inbox.missing, whose lock protects this
	told    bool     // its itemBegin was pushed; the same lock protects this
	moved   bool     // one of its members has moved to another process
	by      *member  // who has made it; nil: it has begun, or is gone
	at      Position // of the newest message whose fan-out has begun
	newest  *Message // if options.keepsNewest
	subs    []sub
	behind  map[uint32]*follower  // by member
	claims  map[uint32][]Position // by member
	present map[uint32]string     // by member: the ID
	answer  int64                 // about the size of the last answers; 0: unknown
}

// table is a slice with free places.
type table[T any] struct {
	all  []T
	free []uint32
}

func (t *table[T]) add(v T) uint32 {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		t.all[id] = v
		return id
	}
	t.all = append(t.all, v)
	return uint32(len(t.all) - 1)
}

func (t *table[T]) remove(id uint32) {
	var zero T
	t.all[id] = zero
	t.free = append(t.free, id)
}

func newShard(h *Hub, l loop, key shardKey) *shard {
	s := &shard{hub: h, loop: l, key: key, names: make(map[string]*entry), counters: new(counters)}
	s.runs = s.run
	return s
}

// shardOf returns the shard of a connection's loop.
func (h *Hub) shardOf(c *websocket.Conn) *shard {
	key := shardKey{c.EngineConn().Engine(), c.Loop()}
	return h.shard(key, key)
}

// shard returns the shard of a loop, made if there is none.
func (h *Hub) shard(key shardKey, l loop) *shard {
	h.shards.mu.Lock()
	defer h.shards.mu.Unlock()
	s := h.shards.all[key]
	if s == nil {
		if h.shards.all == nil {
			h.shards.all = make(map[shardKey]*shard)
		}
		s = newShard(h, l, key)
		h.shards.all[key] = s
	}
	return s
}

// retire removes the shard from the Hub: it has no members, and nothing may refer to an engine that
// has ended.
func (s *shard) retire() {
	h := s.hub
	h.shards.mu.Lock()
	defer h.shards.mu.Unlock()
	if h.shards.all[s.key] == s {
		delete(h.shards.all, s.key)
	}
	s.counters.add(&s.tally)
	s.counters.moveTo(&h.retired)
	s.counters = &h.retired
}

// join adds a member.
func (s *shard) join(p peer, f Format) *member {
	m := &member{shard: s, format: s.format(f)}
	m.id = s.slots.add(slot{p, m})
	s.members++
	return m
}

// format returns the index of a Format for one more member.
func (s *shard) format(f Format) uint32 {
	free := len(s.formats)
	for i := range s.formats {
		switch u := &s.formats[i]; {
		case u.members == 0:
			free = i
		case u.Format == f:
			u.members++
			return uint32(i)
		}
	}
	if free == len(s.formats) {
		s.formats = append(s.formats, usedFormat{})
	}
	s.formats[free] = usedFormat{f, 1}
	return uint32(free)
}

// forget ends format. What a fan-out has made for the Format is not for the next one in its place.
func (s *shard) forget(format uint32) {
	u := &s.formats[format]
	if u.members--; u.members > 0 {
		return
	}
	*u = usedFormat{}
	if int(format) < len(s.fan.forms) {
		s.fan.forms[format] = form{}
	}
}

// leave removes a member with all that it has.
func (m *member) leave() {
	s, before, left := m.shard, len(m.subs), false
	defer func() {
		if !left && len(m.subs) < before { // a Broker has called runtime.Goexit
			m.leave()
		}
	}()
	for len(m.subs) > 0 {
		s.remove(m, len(m.subs)-1)
	}
	left = true
	s.asks.abandon(m)
	s.slots.remove(m.id)
	s.forget(m.format)
	s.members--
	if s.members == 0 {
		s.retire()
	}
}

// Flushed implements websocket.Attachment.
func (m *member) Flushed(*websocket.Conn) { m.shard.flushed(m) }

// Closed implements websocket.Attachment.
func (m *member) Closed(_ *websocket.Conn, err error) {
	m.moved = isHandedOver(err)
	if len(m.subs) > leaveAtOnce {
		if m.conn != nil {
			m.conn.EngineConn().AddHeld(-m.held) // nothing counts for a connection that is closed
		}
		m.conn = nil
		m.leaveLater()
		return
	}
	defer func() { m.conn = nil }() // also if the Broker panics
	m.leave()
}

// isHandedOver is errors.Is(err, engine.ErrHandedOver) without calls of methods of err, which may
// be the user's and panic.
func isHandedOver(err error) bool {
	if u, ok := err.(*engine.UnsentError); ok {
		err = u.Reason
	}
	return err == engine.ErrHandedOver
}

// Held implements engine.Holder.
func (m *member) Held() int { return m.held }

// hold counts what a subscription that is behind holds towards the engine's MaxBuffered. The
// messages themselves are the same for all.
func (m *member) hold(f *follower) {
	more := cap(f.held)*int(unsafe.Sizeof(f)) - f.counted
	if more == 0 {
		return
	}
	f.counted += more
	m.held += more
	if m.conn != nil {
		m.conn.EngineConn().AddHeld(more)
	}
}
