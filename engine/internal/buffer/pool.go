// Package buffer holds the bytes that a connection cannot get rid of yet, in chunks that a loop's connections share.
//
// Nothing here is safe for more than one goroutine: a Pool belongs to one loop.
package buffer

import "math/bits"

const (
	minClass = 9  // 512 bytes, the smallest chunk
	maxClass = 20 // 1 MiB, the largest one that is pooled
	keep     = 2 << 20
	keepBare = 4096
)

// Chunk is a run of bytes: buf[r:w] is filled, buf[w:] is free.
//
//	0        r          w          len(buf)
//	+--------+----------+----------+
//	| read   | filled   | free     |
//	+--------+----------+----------+
type Chunk struct {
	next *Chunk
	r, w int
	buf  []byte

	shared    bool // buf is not the pool's, and must not be written to
	droppable bool // see Queue.DropOldest

	owner        uint64 // 0: not held
	wait         Wait   // of the queue that this chunk is the first of
	older, newer *Chunk // held ones of the same class
}

// Len is the number of filled bytes.
func (c *Chunk) Len() int { return c.w - c.r }

// Cap is the size of the chunk, whatever it holds.
func (c *Chunk) Cap() int { return len(c.buf) }

// Bytes are the filled bytes. They may be modified, and are valid until the chunk goes back to its pool.
func (c *Chunk) Bytes() []byte { return c.buf[c.r:c.w] }

// Free is the space behind the filled bytes.
func (c *Chunk) Free() []byte { return c.buf[c.w:] }

// Fill marks the first n bytes of Free as filled.
func (c *Chunk) Fill(n int) { c.w += n }

// Skip drops the first n filled bytes.
func (c *Chunk) Skip(n int) { c.r += n }

// Reset drops all bytes.
func (c *Chunk) Reset() { c.r, c.w = 0, 0 }

// Append copies as much of b as fits behind the filled bytes, and says how much that was.
func (c *Chunk) Append(b []byte) int {
	n := copy(c.buf[c.w:], b)
	c.w += n
	return n
}

// Same reports whether a and b begin at the same byte of memory.
func Same(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// Pool hands out chunks whose size is a power of two and takes them back. The zero value is ready to use.
// The free lists are last in, first out, so a chunk that is used and returned over and over stays in cache; each list
// keeps at most 2 MiB and leaves the rest to the garbage collector.
type Pool struct {
	free  [maxClass - minClass + 1]*Chunk
	kept  [maxClass - minClass + 1]int
	bare  *Chunk // without a buffer, for Share
	bares int
	out   int
	bytes int

	oldest, newest [maxClass - minClass + 2]*Chunk // held ones; the last class is what is larger than any
}

// class is the index of the smallest size that holds n bytes.
func class(n int) int {
	if n <= 1<<minClass {
		return 0
	}
	return bits.Len(uint(n-1)) - minClass
}

// Get returns an empty chunk of at least n bytes.
func (p *Pool) Get(n int) *Chunk {
	p.out++
	k := class(n)
	if k >= len(p.free) {
		p.bytes += n
		return &Chunk{buf: make([]byte, n)}
	}
	p.bytes += 1 << (minClass + k)
	c := p.free[k]
	if c == nil {
		return &Chunk{buf: make([]byte, 1<<(minClass+k))}
	}
	p.free[k], c.next = c.next, nil
	p.kept[k]--
	return c
}

// Share returns a chunk that is filled by b itself, which nobody may change any more. It does not count in Bytes.
func (p *Pool) Share(b []byte) *Chunk {
	p.out++
	c := p.bare
	if c == nil {
		c = new(Chunk)
	} else {
		p.bare, c.next = c.next, nil
		p.bares--
	}
	c.shared, c.buf, c.w = true, b, len(b)
	return c
}

// Put takes a chunk back. The caller must not touch it again.
func (p *Pool) Put(c *Chunk) {
	p.out--
	if c.owner != 0 {
		p.unhold(c)
	}
	if c.shared {
		if p.bares < keepBare {
			*c = Chunk{next: p.bare}
			p.bare = c
			p.bares++
		}
		return
	}
	p.bytes -= len(c.buf)
	k := class(len(c.buf))
	if k >= len(p.free) || p.kept[k]<<(minClass+k) >= keep {
		return
	}
	c.r, c.w, c.wait, c.next = 0, 0, Wait{}, p.free[k]
	p.free[k] = c
	p.kept[k]++
}

// Resize moves the filled bytes of c to a chunk of at least n bytes (and never fewer than there are) and puts c back.
func (p *Pool) Resize(c *Chunk, n int) *Chunk {
	d := p.Get(max(n, c.Len()))
	d.wait = c.wait
	d.Append(c.Bytes())
	p.Put(c)
	return d
}

// Hold notes that c, which is out, will stay out for a while on behalf of owner, which is not 0. Held before, it keeps its
// place.
func (p *Pool) Hold(c *Chunk, owner uint64) {
	if c.owner != 0 {
		return
	}
	k := min(class(len(c.buf)), len(p.free))
	c.owner, c.older = owner, p.newest[k]
	if c.older != nil {
		c.older.newer = c
	} else {
		p.oldest[k] = c
	}
	p.newest[k] = c
}

func (p *Pool) unhold(c *Chunk) {
	k := min(class(len(c.buf)), len(p.free))
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest[k] = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest[k] = c.older
	}
	c.owner, c.older, c.newer = 0, nil, nil
}

// Holder is the owner that has held one of the largest chunks for the longest time, 0 if nothing is held.
func (p *Pool) Holder() uint64 {
	for k := len(p.oldest) - 1; k >= 0; k-- {
		if c := p.oldest[k]; c != nil {
			return c.owner
		}
	}
	return 0
}

// Bytes is the size of all chunks that were handed out and not put back.
func (p *Pool) Bytes() int { return p.bytes }

// Out is the number of chunks that were handed out and not put back: 0 when no connection holds a buffer.
func (p *Pool) Out() int { return p.out }
