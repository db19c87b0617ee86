package nats

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// forgetIDs makes the stream forget the identifiers of packs, as it may when its leader dies.
func forgetIDs(t *testing.T, b *Broker) {
	t.Helper()
	js, config := streamOf(t, b)
	config.Duplicates = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := js.UpdateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
}

// idOf returns the identifier of a topic's newest pack.
func idOf(t *testing.T, b *Broker, name string) string {
	t.Helper()
	a, err := b.get(getRequest{LastFor: b.subject("in", name)})
	if err != nil {
		t.Fatal(err)
	}
	return a.msgs[0].Header.Get(headerID)
}

// TestPackStoredTwice checks that a message is delivered once if it was sent again and the stream
// did not recognize it, also if others have come since, and that those behind it follow without a
// gap.
func TestPackStoredTwice(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	forgetIDs(t, b[0])
	publish(t, b[0], "room", "one")
	until(t, "it is stored", func() bool { return b[0].Stats().Stored == 1 })
	id := idOf(t, b[0], "room")
	for _, text := range []string{"two", "three"} {
		until(t, "it is not recognized", func() bool { return !storePack(t, b[1], "room", id, "one") })
		publish(t, b[1], "room", text)
		until(t, "it is stored", func() bool { return idOf(t, b[1], "room") != id })
	}
	want := []string{"one", "two", "three"}
	for i := range b {
		until(t, "the last one comes", func() bool { return slices.Contains(r[i].took("room"), "three") })
		if took := r[i].took("room"); !slices.Equal(took, want) {
			t.Errorf("node %d gets %q", i, took)
		}
	}
	r[0].mu.Lock()
	positions := map[string]topic.Position{"": {}}
	var last topic.Position
	for _, e := range r[0].events {
		if e.kind == 'M' && e.prev > last.Seq {
			t.Errorf("%q is said to follow %d, and the one before is at %d", e.data, e.prev, last.Seq)
		}
		last = e.at
		positions[e.data] = e.at
	}
	r[0].mu.Unlock()
	for i, after := range []string{"", "one", "two", "three"} {
		msgs, complete, err := history(b[0], "room", positions[after], 100)
		var got []string
		for _, m := range msgs {
			got = append(got, string(m.Data))
		}
		if err != nil || !complete || !slices.Equal(got, want[i:]) {
			t.Errorf("after %q: %q, complete: %v, %v", after, got, complete, err)
		}
	}
}

// TestPackStoredInTwoEpochs checks that a message is delivered once if it was stored, lost with its
// acknowledgement and the stream, and then stored again.
func TestPackStoredInTwoEpochs(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), CheckInterval: 100 * time.Second}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	unnoticed(t, b)
	publish(t, b, "room", "one")
	until(t, "it comes", func() bool { return len(r.took("room")) == 1 })
	id := idOf(t, b, "room")
	recreateStream(t, b)
	for range 20 { // so that its sequence is behind that in the stream before
		storePack(t, b, "other", "", "")
	}
	storePack(t, b, "room", id, "one")
	storePack(t, b, "room", "", "two")
	until(t, "the next one comes", func() bool { return slices.Contains(r.took("room"), "two") })
	if took := slices.Compact(r.took("room")); !slices.Equal(took, []string{"one", "|", "two"}) {
		t.Errorf("it gets %q", took)
	}
}

// TestOriginsForget checks that nodes which have ended are forgotten, and that a name does not keep
// the message that it came with.
func TestOriginsForget(t *testing.T) {
	var o origins
	start := time.Now()
	id := func(node int) string { // names are in base 32, without the digits 0 and 1
		return fmt.Sprintf("AAAAAAAAAAAAA%c%c%c1", 'A'+node/100, 'A'+node/10%10, 'A'+node%10)
	}
	for i := range 1000 {
		o.take(id(i), uint64(i), start.Add(time.Duration(i)*time.Second))
	}
	if most := int(dedupeWindow/time.Second) + 2; len(o) > most {
		t.Errorf("%d nodes are remembered", len(o))
	}
	if o.take(id(999), 2000, start) {
		t.Error("a repeat is taken for new")
	}
	if !o.take(id(999), 999, start) {
		t.Error("the pack itself is taken for a repeat")
	}
	if !o.take("", 1, start) || !o.take("short", 1, start) || !o.take("not a number of a pack", 1, start) {
		t.Error("what no Broker has made is taken for a repeat")
	}
}
