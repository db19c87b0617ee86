package buffer

import "math/bits"

const (
	minClass = 9       // 512 bytes, the smallest chunk
	maxClass = 20      // 1 MiB, the largest chunk that is pooled
	keep     = 2 << 20 // bytes that wait in the free list of a class
	keepBare = 4096    // chunks without a buffer that wait to be used again

	classes = maxClass - minClass + 1
)

// Pool hands out chunks and takes them back. The zero value is ready to use.
//
// A chunk's size is a power of two, its class; larger ones than the last class are made to measure
// and not kept. The free lists are last in, first out, so a chunk that is used again and again
// stays in cache. Each list keeps up to 2 MiB and leaves the rest to the garbage collector.
type Pool struct {
	free  [classes]*Chunk
	kept  [classes]int // chunks in free
	bare  *Chunk       // without a buffer, for Share
	bares int          // chunks in bare
	out   int          // chunks that were handed out
	bytes int          // their size, without those of Share

	oldest, newest [classes + 1]*Chunk // held chunks; the last class has the larger ones
}

// class returns the class of the smallest size that holds n bytes, which may be larger than all.
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

// Share returns a chunk that is filled with b itself, not a copy: b must not change any more. It
// does not count in Bytes.
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

// Put takes a chunk back. The caller must not use it again.
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

// Resize moves the filled bytes of c to a chunk of at least n bytes, or of as many as there are,
// and puts c back.
func (p *Pool) Resize(c *Chunk, n int) *Chunk {
	d := p.Get(max(n, c.Len()))
	d.wait = c.wait
	d.Append(c.Bytes())
	p.Put(c)
	return d
}

// Hold notes that owner, which is not 0, is going to keep c for a while. A chunk that is held
// already keeps its place.
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

// Holder returns the owner that has held a chunk of the largest class for the longest time, 0 if
// nothing is held.
func (p *Pool) Holder() uint64 {
	for k := len(p.oldest) - 1; k >= 0; k-- {
		if c := p.oldest[k]; c != nil {
			return c.owner
		}
	}
	return 0
}

// Bytes returns the size of all chunks that were handed out and not put back.
func (p *Pool) Bytes() int { return p.bytes }

// Out returns the number of chunks that were handed out and not put back. It is 0 if no connection
// has a buffer.
func (p *Pool) Out() int { return p.out }
