package tlslayer

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// fragments returns the beginning of a handshake message of 64 KiB: three full records, and the
// rest but for a few bytes in records of one byte.
func (r *records) fragments(typ byte) (b []byte) {
	b = r.craft(b, typeHandshake, []byte{typ, 1, 0, 0}, 0)
	for range 3 {
		b = r.craft(b, typeHandshake, make([]byte, maxPlain), 0)
	}
	for range 5000 {
		b = r.craft(b, typeHandshake, []byte{0}, 0)
	}
	return b
}

// TestMessageInManyRecords: each record of a handshake message copied all of it that had come, so
// that a message of 64 KiB in records of one byte kept its loop busy for half a second. A server
// held all of it, which counted for no budget.
func TestMessageInManyRecords(t *testing.T) {
	for _, suite := range testSuites {
		for _, typ := range []byte{messageKeyUpdate, messageNewSessionTicket, messageHelloRequest} {
			for _, server := range []bool{true, false} {
				tw := newTwins(t, suiteConfig(suite.id), server)
				tw.level2.extra = nil // the tls.Conn that keeps tickets
				b := tw.peer.fragments(typ)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _, _, err := tw.level2.Open(b, 0)
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
					t.Errorf("%s, type %d, server %t: %d KiB were allocated", suite.name, typ, server, n>>10)
				}
				legal := suite.id == 0 && typ == messageNewSessionTicket && !server
				held := 0
				if tw.level2.extra != nil {
					held = len(tw.level2.extra.handshake)
				}
				if legal && (err != nil || held < 48<<10) || !legal && (err == nil || held > 8) {
					t.Errorf("%s, type %d, server %t: %d bytes are held, error %v", suite.name, typ, server, held, err)
				}
			}
		}
	}
}

// TestIllegalMessageIsRefusedByItsHeader: what can only be refused was kept until it was whole.
func TestIllegalMessageIsRefusedByItsHeader(t *testing.T) {
	const unexpected, decode = "tls: unexpected message", "tls: error decoding message"
	for _, c := range []struct {
		name    string
		suite   int
		server  bool
		header  []byte
		err     string
		alerted string
	}{
		{"long KeyUpdate", 0, true, []byte{messageKeyUpdate, 0, 0, 2}, decode, decode},
		{"Finished", 0, true, []byte{20, 0, 0, 32}, "handshake message of type 20", unexpected},
		{"ticket of a client", 0, true, []byte{messageNewSessionTicket, 0, 0, 99}, "session ticket", unexpected},
		{"Finished of a server", 0, false, []byte{20, 0, 0, 32}, "handshake message of type 20", unexpected},
		{"long HelloRequest", 1, true, []byte{messageHelloRequest, 0, 0, 1}, decode, decode},
		{"ClientHello", 1, true, []byte{messageClientHello, 0, 1, 0}, "handshake message of type 1", unexpected},
	} {
		for split := range 4 { // the header in two records
			tw := newTwins(t, suiteConfig(testSuites[c.suite].id), c.server)
			tw.level2.extra = nil
			var b []byte
			if split > 0 {
				b = tw.peer.craft(b, typeHandshake, c.header[:split], 0)
			}
			b = tw.peer.craft(b, typeHandshake, c.header[split:], 0)
			_, _, _, err := tw.level2.Open(b, 0)
			if !strings.Contains(fmt.Sprint(err), c.err) {
				t.Errorf("%s, split at %d: error %v, want %q", c.name, split, err, c.err)
			}
			if _, err := tw.peer.answers(tw.level2, nil); !strings.Contains(fmt.Sprint(err), c.alerted) {
				t.Errorf("%s, split at %d: the peer sees %v, want %q", c.name, split, err, c.alerted)
			}
		}
	}
}
