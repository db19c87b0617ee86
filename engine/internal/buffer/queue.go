package buffer

// CorkSize is the size of the chunk that gathers what is written to a connection in one turn.
const CorkSize = 64 << 10

// Room is the least capacity that Available returns.
const Room = 16<<10 + 64

// Queue is a first-in first-out run of bytes in chunks. The zero value is an empty queue that owns nothing.
//
// It is two words in every connection: the chunks form a ring and tail points at the last one.
//
//	tail -> last -> first -> second -> ... -> last
type Queue struct {
	tail *Chunk
	n    int
}

// Len is the number of bytes in the queue.
func (q *Queue) Len() int { return q.n }

// Empty says that the queue owns no chunk, which is more than that it holds no byte.
func (q *Queue) Empty() bool { return q.tail == nil }

func (q *Queue) push(c *Chunk) {
	if q.tail == nil {
		c.next = c
	} else {
		c.next = q.tail.next
		q.tail.next = c
	}
	q.tail = c
}

// Append copies b behind the queue. size is the size of a chunk to add where the last one is full.
func (q *Queue) Append(p *Pool, b []byte, size int) {
	q.n += len(b)
	for {
		if q.tail != nil {
			b = b[q.tail.Append(b):]
		}
		if len(b) == 0 {
			return
		}
		q.push(p.Get(max(size, min(len(b), CorkSize))))
	}
}

// Share adds a message to the queue without copying it: nobody may change b any more. droppable is for DropOldest.
func (q *Queue) Share(p *Pool, b []byte, droppable bool) {
	c := p.Share(b)
	c.droppable = droppable
	q.n += len(b)
	q.push(c)
}

// DropOldest takes the oldest droppable message out of the queue, of which nothing was written yet, and says whether there
// was one.
func (q *Queue) DropOldest(p *Pool) bool {
	prev := q.tail
	for c := range q.all {
		if !c.droppable || c.r > 0 {
			prev = c
			continue
		}
		q.n -= c.Len()
		switch {
		case prev == c: // the only one
			q.tail = nil
		case c == q.tail:
			prev.next, q.tail = c.next, prev
		default:
			prev.next = c.next
		}
		if q.tail != nil && q.tail.next.wait.Since == 0 { // it was the first, whose wait goes on
			q.tail.next.wait = c.wait
		}
		c.next = nil
		p.Put(c)
		return true
	}
	return false
}

// Available returns an empty slice with a capacity of at least Room, which lies where the queue's next bytes belong: to
// be appended to and given to Commit at once.
func (q *Queue) Available(p *Pool) []byte {
	if t := q.tail; t != nil && len(t.buf)-t.w >= Room {
		return t.buf[t.w:t.w]
	}
	return q.extend(p)
}

func (q *Queue) extend(p *Pool) []byte {
	q.push(p.Get(CorkSize))
	return q.tail.buf[:0]
}

// Reserve adds n bytes, for the caller to fill in, and returns them; nil if the last chunk has no room for them.
func (q *Queue) Reserve(n int) []byte {
	t := q.tail
	if t == nil || n > len(t.buf)-t.w {
		return nil
	}
	b := t.buf[t.w : t.w+n]
	t.w += n
	q.n += n
	return b
}

// Commit takes b if it is what Available returned, extended in place; otherwise it does nothing and answers false.
func (q *Queue) Commit(b []byte) bool {
	t := q.tail
	if t == nil || len(b) > len(t.buf)-t.w || !Same(b, t.buf[t.w:]) {
		return false
	}
	t.w += len(b)
	q.n += len(b)
	return true
}

// Head is the filled part of the first chunk, and whether it is the only one. The queue must not be Empty.
func (q *Queue) Head() (b []byte, only bool) {
	h := q.tail.next
	return h.Bytes(), h == q.tail
}

// Own is the first or else the last chunk, whichever is not shared; nil if both are, or the queue is Empty. Called after each
// Append it names every chunk that does not come and go at once.
func (q *Queue) Own() *Chunk {
	switch {
	case q.tail == nil:
		return nil
	case !q.tail.next.shared:
		return q.tail.next
	case !q.tail.shared:
		return q.tail
	}
	return nil
}

// Wait is since when a queue has been waiting for its reader to take something, in units of the queue's user.
type Wait struct {
	Since uint32 // 0: the queue is not waiting yet, or a whole chunk was taken
	Seen  uint32 // what the user has seen of the reader since then
}

// Wait returns the queue's wait, for its user to change. It lies in the first chunk, so an empty queue has no room for one:
// the queue must not be Empty.
func (q *Queue) Wait() *Wait { return &q.tail.next.wait }

// Vector appends the filled parts of the first chunks to dst, as far as its capacity reaches.
func (q *Queue) Vector(dst [][]byte) [][]byte {
	if q.tail == nil {
		return dst
	}
	for c := q.tail.next; len(dst) < cap(dst); c = c.next {
		if c.Len() > 0 {
			dst = append(dst, c.Bytes())
		}
		if c == q.tail {
			break
		}
	}
	return dst
}

// Discard drops the first n bytes, which were written, and puts the chunks back that it emptied. n is at most Len.
func (q *Queue) Discard(p *Pool, n int) {
	q.n -= n
	for q.tail != nil {
		h := q.tail.next
		if h.Len() > n {
			h.r += n
			return
		}
		n -= h.Len()
		if h == q.tail {
			q.tail = nil
		} else {
			q.tail.next = h.next
		}
		h.next = nil
		p.Put(h)
	}
}

// Park gets the queue ready for a long wait: a single chunk that is mostly empty is exchanged for one that fits, so that
// a slow reader's last bytes do not hold a whole cork buffer.
func (q *Queue) Park(p *Pool) {
	t := q.tail
	if t == nil || t.next != t || t.shared || t.Len() > len(t.buf)/4 {
		return
	}
	t.next = nil
	c := p.Resize(t, t.Len())
	c.next = c
	q.tail = c
}

// Release puts all chunks back; what was in them is lost.
func (q *Queue) Release(p *Pool) { q.Discard(p, q.n) }

// Chunks is the number of chunks that the queue holds.
func (q *Queue) Chunks() (n int) {
	for range q.all {
		n++
	}
	return n
}

// Size is the number of bytes that its chunks take, filled or not, those of Share excluded.
func (q *Queue) Size() (n int) {
	for c := range q.all {
		if !c.shared {
			n += c.Cap()
		}
	}
	return n
}

func (q *Queue) all(yield func(*Chunk) bool) {
	if q.tail == nil {
		return
	}
	for c := q.tail.next; yield(c) && c != q.tail; c = c.next {
	}
}
