package buffer

// CorkSize is the size of the chunk that gathers what is written to a connection in one turn.
const CorkSize = 64 << 10

// Room is the smallest capacity that Available returns.
const Room = 16<<10 + 64

// Queue is a first-in, first-out run of bytes in chunks. The zero value is an empty queue without a
// chunk.
//
// It takes two words in every connection: the chunks form a ring, and tail points at the last one.
//
//	tail -> last -> first -> second -> ... -> last
type Queue struct {
	tail *Chunk
	n    int
}

// Len returns the number of bytes in the queue.
func (q *Queue) Len() int { return q.n }

// Empty reports whether the queue has no chunk. A queue with a chunk can still have no bytes.
func (q *Queue) Empty() bool { return q.tail == nil }

// first is what a queue keeps in its first chunk.
type first struct {
	wait Wait
	size int    // see Size
	skip *Chunk // DropOldest finds nothing up to here; nil: it has not looked
}

func (q *Queue) push(c *Chunk) {
	if q.tail == nil {
		c.next = c
		c.first.size = c.cost()
	} else {
		h := q.tail.next
		h.first.size += c.cost()
		c.next = h
		q.tail.next = c
	}
	q.tail = c
}

// shift takes the first chunk out.
func (q *Queue) shift() *Chunk {
	h := q.tail.next
	if h == q.tail {
		q.tail = nil
	} else {
		f := &h.next.first
		f.size = h.first.size - h.cost()
		if f.skip = h.first.skip; f.skip == h {
			f.skip = nil
		}
		q.tail.next = h.next
	}
	h.next = nil
	return h
}

// Append copies b to the end of the queue. size is the size of the chunks that it adds when the
// last one is full; behind a shared message they begin small.
func (q *Queue) Append(p *Pool, b []byte, size int) {
	q.n += len(b)
	for {
		if q.tail != nil {
			b = b[q.tail.Append(b):]
		}
		if len(b) == 0 {
			return
		}
		q.push(p.Get(max(q.grown(size), min(len(b), CorkSize))))
	}
}

// grown returns the size of the next chunk, at most size. A small write between each two shared
// messages would otherwise take a hundred times the memory of all that is queued.
func (q *Queue) grown(size int) int {
	switch t := q.tail; {
	case t == nil:
		return size
	case t.message != nil:
		return min(size, behindShared)
	default:
		return min(size, 4*len(t.buf))
	}
}

// behindShared is the size of the first chunk behind a shared message.
const behindShared = 1 << minClass

// Prepend copies b to the front of the queue, in a chunk of its own.
func (q *Queue) Prepend(p *Pool, b []byte) {
	c := p.Get(len(b))
	c.Append(b)
	q.n += len(b)
	if q.tail == nil {
		q.push(c)
		return
	}
	h := q.tail.next
	c.first = h.first
	c.first.size += c.cost()
	c.next = h
	q.tail.next = c
}

// Share adds a message to the queue without copying it: b must not change any more. DropOldest may
// drop it if it is droppable.
func (q *Queue) Share(p *Pool, b []byte, droppable bool) {
	c := p.Share(b)
	c.droppable = droppable
	q.n += len(b)
	q.push(c)
}

// Own adds b to the queue without copying it. b is the queue's from now on.
func (q *Queue) Own(p *Pool, b []byte) {
	q.n += len(b)
	q.push(p.Own(b))
}

// DropOldest takes out the oldest droppable message of which nothing was discarded yet. It reports
// whether there was one. It looks at each message once, however often it is called.
func (q *Queue) DropOldest(p *Pool) bool {
	if q.tail == nil {
		return false
	}
	h := q.tail.next
	prev := q.tail
	if h.first.skip != nil {
		if prev = h.first.skip; prev == q.tail {
			return false
		}
	}
	c := prev.next
	for ; !c.droppable || c.r > 0; c = c.next {
		h.first.skip = c
		if c == q.tail {
			return false
		}
		prev = c
	}
	q.n -= c.Len()
	if c == h {
		wait := h.first.wait
		q.shift()
		if q.tail != nil && q.tail.next.first.wait.Since == 0 { // the wait goes on
			q.tail.next.first.wait = wait
		}
	} else {
		h.first.size -= c.cost()
		prev.next, c.next = c.next, nil
		if c == q.tail {
			q.tail = prev
		}
	}
	p.Put(c)
	return true
}

// Available returns an empty slice with a capacity of at least Room, at the place of the queue's
// next bytes. The caller appends to it and passes it to Commit at once. It adds a chunk of CorkSize
// if there is no room: see Crowded.
func (q *Queue) Available(p *Pool) []byte {
	if t := q.tail; t != nil && len(t.buf)-t.w >= Room {
		return t.buf[t.w:t.w]
	}
	return q.extend(p)
}

// Crowded reports whether the next chunk must be smaller than what Available adds: see grown. Then
// use Append.
func (q *Queue) Crowded() bool {
	t := q.tail
	return t != nil && (t.message != nil || len(t.buf) < CorkSize && len(t.buf)-t.w < Room)
}

func (q *Queue) extend(p *Pool) []byte {
	q.push(p.Get(CorkSize))
	return q.tail.buf[:0]
}

// Reserve is Available for n bytes. It returns nil if the last chunk has no room for them. Nothing
// is in the queue before Commit: a chunk still holds what it was last used for.
func (q *Queue) Reserve(n int) []byte {
	t := q.tail
	if t == nil || n > len(t.buf)-t.w {
		return nil
	}
	return t.buf[t.w : t.w : t.w+n]
}

// Commit adds b if it is what Available or Reserve returned, extended in place. Otherwise it does
// nothing and returns false.
func (q *Queue) Commit(b []byte) bool {
	t := q.tail
	if t == nil || len(b) > len(t.buf)-t.w || !Same(b, t.buf[t.w:]) {
		return false
	}
	t.w += len(b)
	q.n += len(b)
	return true
}

// Head returns the filled part of the first chunk, and whether it is the only chunk. The queue must
// not be Empty.
func (q *Queue) Head() (b []byte, only bool) {
	h := q.tail.next
	return h.Bytes(), h == q.tail
}

// Wait tells how long a queue has been waiting for its reader to take something. Its units are the
// user's.
type Wait struct {
	Since uint32 // 0: the queue does not wait yet, or its first chunk was taken since
	Seen  uint32 // what the user has seen of the reader since then
}

// Wait returns the queue's wait, for its user to change. It is stored in the first chunk: the queue
// must not be Empty.
func (q *Queue) Wait() *Wait { return &q.tail.next.first.wait }

// Vector appends the filled parts of the first chunks to dst, as many as its capacity allows, and
// up to most bytes of them.
func (q *Queue) Vector(dst [][]byte, most int) [][]byte {
	if q.tail == nil {
		return dst
	}
	for c := q.tail.next; len(dst) < cap(dst) && most > 0; c = c.next {
		if n := min(c.Len(), most); n > 0 {
			dst = append(dst, c.Bytes()[:n])
			most -= n
		}
		if c == q.tail {
			break
		}
	}
	return dst
}

// AppendTo appends all bytes to dst.
func (q *Queue) AppendTo(dst []byte) []byte {
	for c := range q.all {
		dst = append(dst, c.Bytes()...)
	}
	return dst
}

// Discard drops the first n bytes, and puts back the chunks that are empty then. n is at most Len.
func (q *Queue) Discard(p *Pool, n int) {
	q.n -= n
	for q.tail != nil {
		h := q.tail.next
		if h.Len() > n {
			h.r += n
			return
		}
		n -= h.Len()
		p.Put(q.shift())
	}
}

// Clear puts back the only chunk of the queue: what was in it is sent. It is Discard of everything,
// for the usual case.
func (q *Queue) Clear(p *Pool) {
	t := q.tail
	q.tail, q.n, t.next = nil, 0, nil
	p.Put(t)
}

// Park prepares the queue for a long wait. It exchanges a single chunk that is mostly empty for one
// that fits, so that the last bytes for a slow reader do not hold a whole cork buffer.
func (q *Queue) Park(p *Pool) {
	t := q.tail
	if t == nil || t.next != t || t.message != nil || t.Len() > len(t.buf)/4 {
		return
	}
	t.next = nil
	c := p.Resize(t, t.Len())
	q.tail = nil
	q.push(c)
}

// Release puts all chunks back. What was in them is lost.
func (q *Queue) Release(p *Pool) { q.Discard(p, q.n) }

// Chunks returns the number of chunks in the queue.
func (q *Queue) Chunks() (n int) {
	for range q.all {
		n++
	}
	return n
}

// Size returns the memory of the queue's chunks, filled or not, without the messages of Share.
func (q *Queue) Size() int {
	if q.tail == nil {
		return 0
	}
	return q.tail.next.first.size
}

func (q *Queue) all(yield func(*Chunk) bool) {
	if q.tail == nil {
		return
	}
	for c := q.tail.next; yield(c) && c != q.tail; c = c.next {
	}
}
