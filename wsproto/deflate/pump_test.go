package deflate_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// TestStreamsMayChangeThreads: a message that was inflated in part on a goroutine with a thread of
// its own, and went on or ended on another one, or the other way round, ended the process.
func TestStreamsMayChangeThreads(t *testing.T) {
	text := strings.Repeat("tick 12345 price 678.90;", 10_000)
	input := frame(wsproto.Text, packed(t, text, nil, 1, 15))
	on := func(locked bool, f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if locked {
				runtime.LockOSThread() // and the thread ends with the goroutine
			}
			f()
		}()
		<-done
	}
	for _, test := range []struct {
		name       string
		begin, end bool // locked
	}{
		{name: "none is locked"},
		{name: "the first one is", begin: true},
		{name: "the second one is", end: true},
		{name: "both are", begin: true, end: true},
	} {
		for _, released := range []bool{false, true} {
			s := session(wsproto.Config{Stream: true}, wsproto.Deflate{})
			rest := bytes.Clone(input)
			var got []byte
			next := func() (more bool) {
				ev, n, err := s.Next(rest)
				if err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				rest, got = rest[n:], append(got, ev.Payload...)
				return ev.Kind == wsproto.EventPiece
			}
			on(test.begin, func() {
				if !next() {
					t.Errorf("%s: the message has one piece", test.name)
				}
			})
			on(test.end, func() {
				if released {
					s.Release()
					return
				}
				for next() {
				}
			})
			if !released && string(got) != text {
				t.Errorf("%s: %d bytes", test.name, len(got))
			}
		}
	}
}
