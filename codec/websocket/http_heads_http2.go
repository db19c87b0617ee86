package websocket

import (
	"runtime"
	"sync"
	"time"
)

// http2Heads finds the ends of large heads of requests in what a client of HTTP/2 sends.
type http2Heads struct {
	frame [9]byte // the header of the next frame: RFC 9113 section 4.1
	have  int     // bytes of that
	left  int     // bytes of the current frame's payload, at first of the preface
	large bool    // that is a large head, or a part of one
}

const (
	http2Preface      = 24 // bytes that a client sends first: RFC 9113 section 3.4
	http2Headers      = 1
	http2Continuation = 9

	// largeHead is the size in bytes of a part of a head that needs a turn. What comes below that
	// takes less than the rest of a request.
	largeHead = 256
)

func newHTTP2Heads() http2Heads { return http2Heads{left: http2Preface} }

// ends takes the next bytes, and reports whether a large part of a head ends in them.
func (h *http2Heads) ends(b []byte) (ends bool) {
	for len(b) > 0 {
		if h.left > 0 {
			n := min(h.left, len(b))
			h.left, b = h.left-n, b[n:]
			ends = ends || h.large && h.left == 0
			continue
		}
		n := copy(h.frame[h.have:], b)
		h.have, b = h.have+n, b[n:]
		if h.have == len(h.frame) {
			h.have = 0
			h.left = int(h.frame[0])<<16 | int(h.frame[1])<<8 | int(h.frame[2])
			kind := h.frame[3]
			h.large = (kind == http2Headers || kind == http2Continuation) && h.left >= largeHead
		}
	}
	return ends
}

// http2Turns is the right of connections to have a large head decoded, which few have at a time. A
// head of 32 KiB, which net/http decodes at once, can take it more than a millisecond, as each two
// bytes may change a table. With hundreds of such connections that can run, the loops would wait
// for all of them. They run between turns.
type http2Turns struct {
	taken   chan struct{} // it has room for as many as may have a turn
	longest time.Duration // that a turn may take
}

// longestTurn is how long a turn may take. Behind a head that cannot be decoded net/http reads no
// more, and keeps the connection until the client has taken that it ends. Others wait for the turns
// of such connections, so it is not much longer than what decoding takes.
const longestTurn = 3 * time.Millisecond

// http2Turn is that of one connection.
type http2Turn struct {
	turns http2Turns

	mu     sync.Mutex
	has    bool
	late   *time.Timer // ends a turn behind which net/http does not read
	closed bool        // net/http has closed the connection: nobody would end a turn
}

// take waits for a turn. One who is woken up runs before all others, so it lets them run first.
func (t *http2Turn) take() {
	t.turns.taken <- struct{}{}
	t.mu.Lock()
	if t.has = !t.closed; t.has {
		t.late = time.AfterFunc(t.turns.longest, t.leave)
	} else {
		<-t.turns.taken
	}
	t.mu.Unlock()
	runtime.Gosched()
}

// leave ends the turn, if there is one.
func (t *http2Turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.has {
		t.has = false
		t.late.Stop()
		<-t.turns.taken
	}
}

// close is leave for good.
func (t *http2Turn) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.leave()
}
