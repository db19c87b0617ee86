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
	bytes int          // their memory, without messages that are shared

	trash    trash
	messages messages
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
		p.bytes += ChunkCost + n
		return &Chunk{buf: make([]byte, n)}
	}
	p.bytes += ChunkCost + 1<<(minClass+k)
	c := p.free[k]
	if c == nil {
		return &Chunk{buf: make([]byte, 1<<(minClass+k))}
	}
	p.free[k], c.next = c.next, nil
	p.kept[k]--
	return c
}

// Share returns a chunk that is filled with b itself, not a copy: b must not change any more. It
// counts in Shared, not in Bytes.
func (p *Pool) Share(b []byte) *Chunk {
	p.out++
	p.bytes += ChunkCost
	c := p.bare
	if c == nil {
		c = new(Chunk)
	} else {
		p.bare, c.next = c.next, nil
		p.bares--
	}
	c.message, c.buf, c.w = p.messages.take(b), b, len(b)
	return c
}

// Own returns a chunk that is filled with b itself, which is the chunk's from now on. It counts in
// Bytes.
func (p *Pool) Own(b []byte) *Chunk {
	p.out++
	p.bytes += ChunkCost + len(b)
	return &Chunk{buf: b, w: len(b)}
}

// Put takes a chunk back. The caller must not use it again.
func (p *Pool) Put(c *Chunk) {
	p.out--
	p.bytes -= c.cost()
	if c.message != nil {
		p.messages.release(c.message)
		c.message, c.buf = nil, nil
		if p.bares < keepBare {
			*c = Chunk{next: p.bare}
			p.bare = c
			p.bares++
		}
		return
	}
	k := class(len(c.buf))
	if k >= len(p.free) || p.kept[k]<<(minClass+k) >= keep || len(c.buf) != 1<<(minClass+k) {
		return // the last if it is of Own
	}
	c.r, c.w, c.first, c.next = 0, 0, first{}, p.free[k]
	p.free[k] = c
	p.kept[k]++
}

// Resize moves the filled bytes of c to a chunk of at least n bytes, or of as many as there are,
// and puts c back.
func (p *Pool) Resize(c *Chunk, n int) *Chunk {
	d := p.Get(max(n, c.Len()))
	d.first.wait = c.first.wait
	d.Append(c.Bytes())
	p.Put(c)
	return d
}

// Bytes returns the memory of all chunks that were handed out and not put back, without the
// messages of Share.
func (p *Pool) Bytes() int { return p.bytes }

// Shared returns the memory of the messages of Share that chunks refer to. A message that several
// queues have counts once if they got it one after the other, as in a broadcast.
func (p *Pool) Shared() int { return p.messages.bytes }

// Out returns the number of chunks that were handed out and not put back. It is 0 if no connection
// has a buffer, and nothing is left to Sweep.
func (p *Pool) Out() int { return p.out }
