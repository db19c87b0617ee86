package wire

import (
	"encoding/hex"
	"testing"
)

// TestClientEvents: the Client understands what a server sends.
func TestClientEvents(t *testing.T) {
	for _, sample := range events() {
		b, err := hex.DecodeString(sample.Binary)
		if err != nil {
			t.Fatal(err)
		}
		var e event
		if err := e.parse(b); err != nil || e.kind != b[0] {
			t.Errorf("%s: %+v, %v", sample.Name, e, err)
		}
		for i := range b { // no part of it is a message of its own, except of what ends with data
			var e event
			if err := e.parse(b[:i]); err == nil && b[0] != eventMessage {
				t.Errorf("%s, %d bytes: %+v", sample.Name, i, e)
			}
		}
	}
}

// FuzzEvent: no bytes make the Client panic, or keep more than a few times their size.
func FuzzEvent(f *testing.F) {
	for _, sample := range events() {
		b, _ := hex.DecodeString(sample.Binary)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e event
		if err := e.parse(b); err == nil && len(e.members)+len(e.left) > len(b) {
			t.Errorf("%d members in %d bytes", len(e.members)+len(e.left), len(b))
		}
	})
}
