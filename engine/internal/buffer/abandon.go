package buffer

// abandonMax is how many chunks Abandon puts back by itself.
const abandonMax = 128

// trash is the chunks that queues have abandoned.
type trash struct {
	last *Chunk // of a ring; nil: there is none
	cost int    // of the chunks
	size int    // bytes that they are filled with
}

// Abandon is Release for a queue that may have very many chunks, one for each message that is
// shared: to put 100,000 back takes 10 ms. So it leaves most of them to Pool.Sweep. They do not
// count for Bytes any more, but for Littered.
func (q *Queue) Abandon(p *Pool) {
	for range abandonMax {
		if q.tail == nil {
			break
		}
		c := q.shift()
		q.n -= c.Len()
		p.Put(c)
	}
	if t := q.tail; t != nil {
		p.bytes -= q.Size()
		p.trash.cost += q.Size()
		p.trash.size += q.n
		if last := p.trash.last; last != nil { // two rings become one
			t.next, last.next = last.next, t.next
		}
		p.trash.last = t
	}
	q.tail, q.n = nil, 0
}

// Sweep puts back up to n of the chunks that queues have abandoned, and reports whether there are
// more.
func (p *Pool) Sweep(n int) (more bool) {
	t := &p.trash
	for ; n > 0 && t.last != nil; n-- {
		c := t.last.next
		if c == t.last {
			t.last = nil
		} else {
			t.last.next = c.next
		}
		t.cost -= c.cost()
		t.size -= c.Len()
		p.bytes += c.cost() // which Abandon has subtracted
		p.Put(c)
	}
	return t.last != nil
}

// Littered returns the memory of the chunks that are left to Sweep, which does not count for Bytes.
// It is 0 if there are none.
func (p *Pool) Littered() int { return p.trash.cost }

// Sweepable returns by how much Shared gets smaller when all chunks are swept, at most: each may be
// the last one that refers to its message.
func (p *Pool) Sweepable() int {
	return min(p.messages.bytes, p.trash.size+p.trash.cost/ChunkCost*messageCost)
}

// Abandoned returns the number of chunks that are left to Sweep. It counts them.
func (p *Pool) Abandoned() (n int) {
	if last := p.trash.last; last != nil {
		for c := last.next; ; c = c.next {
			if n++; c == last {
				break
			}
		}
	}
	return n
}
