package tlslayer

import "crypto/cipher"

// loop is what the connections of one event loop share: AEADs of the keys that were used last, and
// scratch memory. It must be used by one goroutine at a time.
//
// An AEAD of AES-GCM has 768 bytes, much more than what it is made of, and making one takes as long
// as sealing 1 to 2 KiB. So it is made when it is needed, and takes the place of the one that was
// made first. If that one is soon needed again, more connections are busy than there are places:
// then there is one more, up to a limit. Connections that come, say little and stay do not make the
// cache grow.
type loop struct {
	cache []cachedAEAD
	next  uint32 // the entry that is replaced next
	makes uint32 // AEADs that were made, modulo evicted
	limit int    // of entries

	nonce [ivLen]byte
	data  [13]byte // the additional data

	wrap func(key []byte, a cipher.AEAD) cipher.AEAD // for tests
}

type cachedAEAD struct {
	of   *half // whose AEAD it is; nil: none
	aead cipher.AEAD
}

const (
	cacheMin = 512  // entries that a loop begins with
	cacheMax = 8192 // its limit
	// evicted is the bit of half.cached for one whose AEAD was replaced. The other bits are
	// loop.makes at that time; without the bit they are its place.
	evicted = 1 << 31
)

// newLoop returns a loop that keeps n AEADs, and up to limit if more connections are busy.
func newLoop(n, limit int) *loop { return &loop{cache: make([]cachedAEAD, n), limit: limit} }

// loopOf returns the loop that shared has, made if there is none.
func loopOf(shared *any) *loop {
	l, ok := (*shared).(*loop)
	if !ok {
		l = newLoop(cacheMin, cacheMax)
		*shared = l
	}
	return l
}

// aead returns the AEAD of h.
func (l *loop) aead(s *suite, h *half) cipher.AEAD {
	if l.has(h) {
		return l.cache[h.cached].aead
	}
	return l.make(s, h)
}

// has reports whether the AEAD of h is in the cache.
func (l *loop) has(h *half) bool { return h.cached&evicted == 0 && l.cache[h.cached].of == h }

// make makes the AEAD of h, and gives it a place in the cache.
func (l *loop) make(s *suite, h *half) cipher.AEAD {
	a := s.aead(h.key[:s.keyLen])
	if l.wrap != nil {
		a = l.wrap(h.key[:s.keyLen], a)
	}
	l.makes = (l.makes + 1) &^ evicted
	soon := h.cached&evicted != 0 && (l.makes-h.cached)&^evicted < cacheMax
	if soon && len(l.cache) < l.limit {
		h.cached = uint32(len(l.cache))
		l.cache = append(l.cache, cachedAEAD{h, a})
		return a
	}
	e := &l.cache[l.next]
	if e.of != nil {
		e.of.cached = evicted | l.makes
	}
	*e = cachedAEAD{h, a}
	h.cached = l.next
	l.next = (l.next + 1) % uint32(len(l.cache))
	return a
}

// forget drops the AEAD of h: its key is replaced, or its connection has ended.
func (l *loop) forget(h *half) {
	if l.has(h) {
		l.cache[h.cached] = cachedAEAD{}
	}
	h.cached = 0
}

// update goes on to the next traffic secret of h: RFC 8446, Section 7.2.
func (l *loop) update(s *suite, h *half) {
	l.forget(h)
	h.setSecret(s, expandLabel(s, h.secret[:s.hash().Size()], "traffic upd", s.hash().Size()))
}
