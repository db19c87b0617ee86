package buffer

// abandonMax is how many chunks Abandon puts back by itself.
const abandonMax = 128

// Abandon is Release for a queue that may have very many chunks, one for each message that is
// shared: to put 100,000 back takes 10 ms. So it leaves most of them to Pool.Sweep. They do not
// count for Bytes any more.
func (q *Queue) Abandon(p *Pool) {
	for range abandonMax {
		if q.tail == nil {
			break
		}
		p.Put(q.shift())
	}
	if t := q.tail; t != nil {
		p.bytes -= q.Size()
		if p.trash != nil { // two rings become one
			t.next, p.trash.next = p.trash.next, t.next
		}
		p.trash = t
	}
	q.tail, q.n = nil, 0
}

// Sweep puts back up to n of the chunks that queues have abandoned, and reports whether there are
// more.
func (p *Pool) Sweep(n int) (more bool) {
	for ; n > 0 && p.trash != nil; n-- {
		c := p.trash.next
		if c == p.trash {
			p.trash = nil
		} else {
			p.trash.next = c.next
		}
		p.bytes += c.cost() // which Abandon has subtracted
		p.Put(c)
	}
	return p.trash != nil
}

// Littered reports whether anything is left to Sweep.
func (p *Pool) Littered() bool { return p.trash != nil }

// Abandoned returns the number of chunks that are left to Sweep. It counts them.
func (p *Pool) Abandoned() (n int) {
	if p.trash != nil {
		for c := p.trash.next; ; c = c.next {
			if n++; c == p.trash {
				break
			}
		}
	}
	return n
}
