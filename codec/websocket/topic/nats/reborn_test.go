package nats

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myriadnet/myriad/wsproto"
)

// TestMessageOfAnotherStream checks that a message is not taken for one of the epoch before if the
// stream has begun anew, the connection has stayed, and the message's sequence fits.
func TestMessageOfAnotherStream(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), CheckInterval: 100 * time.Second}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	checks := b.Stats().Checks
	until(t, "the early checks are done", func() bool { return b.Stats().Checks > checks })
	if err := b.keeper.elected.Unsubscribe(); err != nil { // nothing else may notice it
		t.Fatal(err)
	}
	publish(t, b, "room", "one")
	until(t, "it comes", func() bool { return len(r.took("room")) == 1 })
	old := b.epoch.Load()
	js, err := jetstream.New(b.nc.Load())
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.StreamConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(b.ctx, config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(b.ctx, config); err != nil {
		t.Fatal(err)
	}
	store := func(subject string, data []byte) {
		t.Helper()
		m := nats.NewMsg(subject)
		m.Data = data
		if _, err := b.store(m); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // so that the next one's sequence is behind that of the first
		store(b.subject("in", "other"), appendMessage(nil, wsproto.Text, nil))
	}
	store(b.subject("in", "room"), appendMessage(nil, wsproto.Text, []byte("two")))
	until(t, "it comes behind a gap", func() bool { return slices.Contains(r.took("room"), "two") })
	if took := slices.Compact(r.took("room")); !slices.Equal(took, []string{"one", "|", "two"}) {
		t.Errorf("it gets %q", took)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.data == "two" && e.at.Epoch == old {
			t.Error("a message of the new stream has the old epoch")
		}
	}
}
