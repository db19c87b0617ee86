package main

import (
	"bytes"
	"io"
	"sync"

	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

// The library leaves the implementation of deflate to its user. This is the fastest one in Go, at
// its fastest level.
var (
	deflaters = sync.Pool{New: func() any {
		return wsflate.NewWriter(nil, func(w io.Writer) wsflate.Compressor {
			f, _ := flate.NewWriter(w, flate.BestSpeed)
			return f
		})
	}}
	inflaters = sync.Pool{New: func() any {
		return wsflate.NewReader(nil, func(r io.Reader) wsflate.Decompressor { return inflater{flate.NewReader(r)} })
	}}
)

// inflater has the Reset that wsflate needs.
type inflater struct{ io.ReadCloser }

func (f inflater) Reset(r io.Reader) { f.ReadCloser.(flate.Resetter).Reset(r, nil) }

func deflate(data []byte) *bytes.Buffer {
	b := peer.Buffer()
	w := deflaters.Get().(*wsflate.Writer)
	defer deflaters.Put(w)
	w.Reset(b)
	w.Write(data)
	w.Flush() // writing to a buffer cannot fail
	return b
}
