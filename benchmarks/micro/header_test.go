package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/wsproto"
)

// payloads are the sizes of the frames' payloads. Servers read headers of clients' frames, and
// write their own. Of the other libraries only gobwas has public functions for that.
var payloads = []int{32, 1 << 10, 64 << 10}

func clientHeader(size int) []byte {
	h := wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Key: key, Length: uint64(size)}
	return wsproto.AppendHeader(nil, h)
}

// BenchmarkReadHeader parses a header and checks it by RFC 6455. gobwas reads from an io.Reader,
// here a bytes.Reader, into a reused buffer.
func BenchmarkReadHeader(b *testing.B) {
	for _, size := range payloads {
		head := clientHeader(size)
		b.Run(fmt.Sprintf("size=%d/impl=myriad", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h, n, err := wsproto.ParseHeader(head)
				if err != nil || n == 0 || wsproto.CheckHeader(h, wsproto.State{}) != nil {
					b.Fatal(h, n, err)
				}
			}
		})
		b.Run(fmt.Sprintf("size=%d/impl=gobwas", size), func(b *testing.B) {
			r, buf := bytes.NewReader(nil), make([]byte, ws.MaxHeaderSize)
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(head)
				h, err := ws.ReadHeaderBuffer(r, buf)
				if err != nil || ws.CheckHeader(h, ws.StateServerSide) != nil {
					b.Fatal(h, err)
				}
			}
		})
	}
}

// BenchmarkWriteHeader encodes a header. gobwas writes to an io.Writer, here a bytes.Buffer.
func BenchmarkWriteHeader(b *testing.B) {
	for _, size := range payloads {
		b.Run(fmt.Sprintf("size=%d/impl=myriad", size), func(b *testing.B) {
			out := make([]byte, 0, wsproto.MaxHeader)
			b.ReportAllocs()
			for b.Loop() {
				h := wsproto.Header{Fin: true, Opcode: wsproto.Binary, Length: uint64(size)}
				out = wsproto.AppendHeader(out[:0], h)
			}
		})
		b.Run(fmt.Sprintf("size=%d/impl=gobwas", size), func(b *testing.B) {
			out, buf := new(bytes.Buffer), make([]byte, ws.MaxHeaderSize)
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				h := ws.Header{Fin: true, OpCode: ws.OpBinary, Length: int64(size)}
				if err := ws.WriteHeaderBuffer(out, h, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
