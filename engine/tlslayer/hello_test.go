package tlslayer

import (
	"io"
	"testing"
)

// FuzzClientHello feeds anything, in two pieces. What is whole stays whole with more behind it, and
// what is refused stays refused: the answer does not depend on how the bytes are cut.
func FuzzClientHello(f *testing.F) {
	f.Add(hello(f), 100)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 3)
	f.Add([]byte{typeHandshake, 3, 1, 0, 4, 1, 0, 0, 0, typeHandshake, 3, 3, 0, 1, 9}, 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		if cut < 0 || cut > len(b) {
			cut = len(b) / 2
		}
		whole, _, err := new(helloScan).whole(b)
		earlier, _, earlierErr := new(helloScan).whole(b[:cut])
		switch {
		case whole && err != nil:
			t.Error("whole, and refused")
		case earlier && !whole:
			t.Error("no longer whole with more bytes")
		case earlierErr != nil && err == nil:
			t.Errorf("no longer refused with more bytes: %v", earlierErr)
		}
		var s helloScan
		for i := 0; ; i++ { // byte by byte
			pieces, _, piecesErr := s.whole(b[:i])
			if i == len(b) && (pieces != whole || (piecesErr != nil) != (err != nil)) {
				t.Errorf("whole %t, error %v; in pieces whole %t, error %v", whole, err, pieces, piecesErr)
			}
			if i == len(b) || pieces || piecesErr != nil {
				break
			}
		}
	})
}

// inRecords returns a ClientHello with a body of n bytes in records of one byte, but for the first.
func inRecords(n int) []byte {
	b := []byte{typeHandshake, 3, 1, 0, 4, messageClientHello, 0, byte(n >> 8), byte(n)}
	for range n {
		b = append(b, typeHandshake, 3, 1, 0, 1, 0)
	}
	return b
}

// TestClientHelloIsWholeAtItsEnd: with some lengths, a goroutine began four bytes before.
func TestClientHelloIsWholeAtItsEnd(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 5, 7, 8, 12, 100, 252, 255, 256, 260, 300} {
		b := inRecords(n)
		for i := range b {
			if whole, _, err := new(helloScan).whole(b[:i]); whole || err != nil {
				t.Fatalf("%d of %d bytes: whole %t, error %v", i, len(b), whole, err)
			}
		}
		if whole, _, err := new(helloScan).whole(b); !whole || err != nil {
			t.Fatalf("%d bytes: whole %t, error %v", len(b), whole, err)
		}
	}
}

// TestHelloInTinyRecords: each byte made the loop look at all records again, 400 ms in all. It
// looks at no record again that was whole.
func TestHelloInTinyRecords(t *testing.T) {
	h := newLayer(Config{TLS: testConfig()}).server(nil, nil, func() {})
	defer h.Cancel(io.EOF)
	b := inRecords(2800)
	for i := range b[:len(b)-1] {
		if n, err := h.Feed(b[i : i+1]); n != 1 || err != nil {
			t.Fatal(n, err) // what was cleared is not a record
		}
		clear(h.in[:h.hello.at])
	}
	if left := len(h.in) - h.hello.at; left > headerLen {
		t.Errorf("%d of %d bytes will be looked at again", left, len(h.in))
	}
}

// BenchmarkReadOfTinyRecords reads what a handshake keeps at most. Moving the rest to the front for
// each record took 6 ms.
func BenchmarkReadOfTinyRecords(b *testing.B) {
	l := newLayer(Config{TLS: testConfig()})
	record, buf := []byte{typeHandshake, 3, 3, 0, 1, 11}, make([]byte, 1<<10)
	for b.Loop() {
		h := l.server(nil, nil, func() {})
		h.state = running
		for len(h.in) < maxFed-len(record) {
			h.in = append(h.in, record...)
		}
		for len(h.in) > 0 {
			h.read(buf)
		}
	}
}
