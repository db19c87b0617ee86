package buffer

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

	message   *message // whose bytes buf has, not to be written to; nil: buf is the pool's
	droppable bool     // see Queue.DropOldest
	first     first    // of the queue whose first chunk this is
}

// ChunkCost is the memory that a chunk takes besides its buffer, in bytes: 48, or 96 on 64 bits.
const ChunkCost = 48 << (^uint(0) >> 63)

// cost returns the memory that the chunk takes, without a shared message.
func (c *Chunk) cost() int {
	if c.message != nil {
		return ChunkCost
	}
	return ChunkCost + len(c.buf)
}

// Len returns the number of filled bytes.
func (c *Chunk) Len() int { return c.w - c.r }

// Cap returns the size of the chunk, filled or not.
func (c *Chunk) Cap() int { return len(c.buf) }

// Bytes returns the filled bytes. They may be modified, and are valid until the chunk goes back to
// its pool.
func (c *Chunk) Bytes() []byte { return c.buf[c.r:c.w] }

// Free returns the space behind the filled bytes.
func (c *Chunk) Free() []byte { return c.buf[c.w:] }

// Fill marks the first n bytes of Free as filled.
func (c *Chunk) Fill(n int) { c.w += n }

// Skip drops the first n filled bytes.
func (c *Chunk) Skip(n int) { c.r += n }

// Cut drops the last n filled bytes.
func (c *Chunk) Cut(n int) { c.w -= n }

// Reset drops all bytes.
func (c *Chunk) Reset() { c.r, c.w = 0, 0 }

// Append copies as much of b as fits behind the filled bytes, and returns how much that was.
func (c *Chunk) Append(b []byte) int {
	n := copy(c.buf[c.w:], b)
	c.w += n
	return n
}

// Same reports whether a and b begin at the same byte of memory.
func Same(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }
