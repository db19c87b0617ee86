// Package buffer holds the bytes that a connection cannot get rid of yet, in chunks that a loop's connections share.
//
// Nothing here is safe for more than one goroutine: a Pool belongs to one loop.
package buffer

import "math/bits"

const (
	minClass = 9  // 512 bytes, the smallest chunk
	maxClass = 20 // 1 MiB, the largest one that is pooled
	keep     = 2 << 20
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

// Pool hands out chunks whose size is a power of two and takes them back. The zero value is ready to use.
// The free lists are last in, first out, so a chunk that is used and returned over and over stays in cache; each list
// keeps at most 2 MiB and leaves the rest to the garbage collector.
type Pool struct {
	free [maxClass - minClass + 1]*Chunk
	kept [maxClass - minClass + 1]int
	out  int
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
		return &Chunk{buf: make([]byte, n)}
	}
	c := p.free[k]
	if c == nil {
		return &Chunk{buf: make([]byte, 1<<(minClass+k))}
	}
	p.free[k], c.next = c.next, nil
	p.kept[k]--
	return c
}

// Put takes a chunk back. The caller must not touch it again.
func (p *Pool) Put(c *Chunk) {
	p.out--
	k := class(len(c.buf))
	if k >= len(p.free) || p.kept[k]<<(minClass+k) >= keep {
		return
	}
	c.r, c.w, c.next = 0, 0, p.free[k]
	p.free[k] = c
	p.kept[k]++
}

// Resize moves the filled bytes of c to a chunk of at least n bytes (and never fewer than there are) and puts c back.
func (p *Pool) Resize(c *Chunk, n int) *Chunk {
	d := p.Get(max(n, c.Len()))
	d.Append(c.Bytes())
	p.Put(c)
	return d
}

// Out is the number of chunks that were handed out and not put back: 0 when no connection holds a buffer.
func (p *Pool) Out() int { return p.out }
