package tlslayer

import (
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
		whole, _, err := clientHello(b)
		earlier, _, earlierErr := clientHello(b[:cut])
		switch {
		case whole && err != nil:
			t.Error("whole, and refused")
		case earlier && !whole:
			t.Error("no longer whole with more bytes")
		case earlierErr != nil && err == nil:
			t.Errorf("no longer refused with more bytes: %v", earlierErr)
		}
	})
}
