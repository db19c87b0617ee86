package topic

import (
	"math"
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestHistoryWithoutLimitDoesNotBreakALink: a topic keeps as many messages as HistoryBytes allows.
// The old process took the question for malformed, and all topics began anew.
func TestHistoryWithoutLimitDoesNotBreakALink(t *testing.T) {
	_, _, _, heir, newEar, _, moved := linked(t)
	heir.Subscribe("a")
	newEar.expect(t, "a from 0")
	say(t, heir, "one")
	newEar.expect(t, "a 0<1 one")
	answered := make(chan bool, 1)
	heir.History("a", Position{}, math.MaxInt, func(msgs []Message, complete bool, err error) {
		answered <- len(msgs) == 1 && complete && err == nil
	})
	if !<-answered {
		t.Error("the history is not complete")
	}
	close(moved)
	<-heir.owned
	say(t, heir, "two")
	newEar.expect(t, "a 1<2 two")
}

// TestLargeAnswerDoesNotBreakALink: the answer about a long history is larger than what may wait
// for a link, and the message behind it broke the link.
func TestLargeAnswerDoesNotBreakALink(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	k := newLink(ours)
	tell := func() error { return k.send(frameTaken, func(b []byte) []byte { return append(b, 0) }) }
	tell()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		k.mu.Lock()
		n := len(k.queue)
		k.mu.Unlock()
		if n == 0 { // it is being written, and nobody reads
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is written")
		}
	}
	(&giver{link: k}).answer(1, []Message{{Op: websocket.Binary, Data: make([]byte, linkMax+1)}}, true)
	if err := tell(); err != nil {
		t.Error(err)
	}
}
