// Package buffer holds the bytes that a connection cannot get rid of yet, in chunks that the
// connections of a loop share.
//
// A Pool has the chunks. A Queue is a connection's output; a single Chunk is what it keeps of its
// input. Nothing here is safe for more than one goroutine: a Pool belongs to one loop.
package buffer
