package tlslayer

import (
	"crypto/cipher"
	"sync/atomic"
)

// loop is what the connections of one event loop share: AEADs of the keys that were used last, and
// scratch memory. It must be used by one goroutine at a time.
//
// An AEAD of AES-GCM has 768 bytes, much more than what it is made of, and making one takes as long
// as sealing 1 to 2 KiB. So it is made when it is needed, and takes the place of the one that was
// made first. If that one is soon needed again, more connections are busy than there are places:
// then there is one more, up to a limit. Connections that come, say little and stay do not make the
// cache grow. What is not used any more goes with the garbage: see sweep.
type loop struct {
	pages  []atomic.Pointer[page] // of all places that there may be
	places uint32                 // that are in use
	least  uint32                 // that are in use always
	limit  uint32                 // of places
	next   uint32                 // the place that is used next
	makes  uint32                 // AEADs that were made, modulo evicted

	nonce [ivLen]byte
	data  [13]byte // the additional data

	work int  // of the last Open: see layer.Stream
	more bool // the last Open has stopped because of that

	wrap func(key []byte, a cipher.AEAD) cipher.AEAD // for tests
}

// page is a part of the cache. The sweeper may take it away at any time.
type page struct {
	used    atomic.Bool // since the last sweep
	entries []cachedAEAD
}

type cachedAEAD struct {
	of   *half // whose AEAD it is; nil: none
	aead cipher.AEAD
}

const (
	cacheMin = 256  // places that a loop begins with: they take 320 KiB
	cacheMax = 8192 // its limit
	pageLen  = 256  // places
	// evicted is the bit of half.cached for one whose AEAD was replaced. The other bits are
	// loop.makes at that time; without the bit they are its place.
	evicted = 1 << 31
)

// newLoop returns a loop with places for n AEADs, and up to limit if more connections are busy.
func newLoop(n, limit uint32) *loop {
	return &loop{
		pages:  make([]atomic.Pointer[page], (limit+pageLen-1)/pageLen),
		places: n, least: n, limit: limit,
	}
}

// loopOf returns the loop that shared has, made if there is none.
func loopOf(shared *any) *loop {
	l, ok := (*shared).(*loop)
	if !ok {
		l = newLoop(cacheMin, cacheMax)
		l.sweepWithGarbage()
		*shared = l
	}
	return l
}

// aead returns the AEAD of h.
func (l *loop) aead(s *suite, h *half) cipher.AEAD {
	if e := l.find(h); e != nil {
		return e.aead
	}
	return l.make(s, h)
}

// find returns the entry of h, nil if there is none.
func (l *loop) find(h *half) *cachedAEAD {
	if h.cached&evicted != 0 {
		return nil
	}
	p := l.pages[h.cached/pageLen].Load()
	if p == nil {
		return nil
	}
	e := &p.entries[h.cached%pageLen]
	if e.of != h {
		return nil
	}
	if !p.used.Load() {
		p.used.Store(true)
	}
	return e
}

// make makes the AEAD of h, and gives it a place in the cache.
func (l *loop) make(s *suite, h *half) cipher.AEAD {
	a := s.aead(h.key[:s.keyLen])
	if l.wrap != nil {
		a = l.wrap(h.key[:s.keyLen], a)
	}
	l.makes = (l.makes + 1) &^ evicted
	l.shrink()
	soon := h.cached&evicted != 0 && (l.makes-h.cached)&^evicted < cacheMax
	place := l.next
	if soon && l.places < l.limit {
		place = l.places
		l.places++
	} else {
		l.next = (l.next + 1) % l.places
	}
	e := l.entry(place)
	if e.of != nil {
		e.of.cached = evicted | l.makes
	}
	*e = cachedAEAD{h, a}
	h.cached = place
	return a
}

// entry returns the entry at a place.
func (l *loop) entry(place uint32) *cachedAEAD {
	at := &l.pages[place/pageLen]
	p := at.Load()
	if p == nil {
		p = &page{entries: make([]cachedAEAD, min(l.limit, pageLen))}
		p.used.Store(true)
		at.Store(p)
	}
	return &p.entries[place%pageLen]
}

// forget drops the AEAD of h: its key is replaced, or its connection has ended.
func (l *loop) forget(h *half) {
	if e := l.find(h); e != nil {
		*e = cachedAEAD{}
	}
	h.cached = 0
}

// update goes on to the next traffic secret of h: RFC 8446, Section 7.2.
func (l *loop) update(s *suite, h *half) {
	l.forget(h)
	h.setSecret(s, expandLabel(s, h.secret[:s.hashLen], "traffic upd", s.hashLen))
}
