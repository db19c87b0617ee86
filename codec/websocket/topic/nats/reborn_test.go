package nats

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myriadnet/myriad/wsproto"
)

// unnoticed waits for the early checks and ends the subscription to new leaders, so that nothing
// but what comes makes a Broker look at the stream.
func unnoticed(t *testing.T, b *Broker) {
	t.Helper()
	checks := b.Stats().Checks
	until(t, "the early checks are done", func() bool { return b.Stats().Checks > checks })
	if err := b.keeper.elected.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
}

// streamOf returns what a Broker does to streams, and how it configures its own one.
func streamOf(t *testing.T, b *Broker) (jetstream.JetStream, jetstream.StreamConfig) {
	t.Helper()
	js, err := jetstream.New(b.nc.Load())
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.StreamConfig()
	if err != nil {
		t.Fatal(err)
	}
	return js, config
}

// recreateStream makes a Broker's stream begin anew while the connection stays.
func recreateStream(t *testing.T, b *Broker) {
	t.Helper()
	js, config := streamOf(t, b)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := js.DeleteStream(ctx, config.Name); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, config); err != nil {
		t.Fatal(err)
	}
}

// storePack stores a pack of one message, under an identifier unless that is empty. It reports
// whether the stream has recognized it.
func storePack(t *testing.T, b *Broker, topic, id, text string) (recognized bool) {
	t.Helper()
	m := nats.NewMsg(b.subject("in", topic))
	m.Data = appendMessage(nil, wsproto.Text, []byte(text))
	if id != "" {
		m.Header.Set(headerID, id)
	}
	a, err := b.store(m)
	if err != nil {
		t.Fatal(err)
	}
	return a.Duplicate
}

// TestMessageOfAnotherStream checks that a message is not taken for one of the epoch before if the
// stream has begun anew, the connection has stayed, and the message's sequence fits.
func TestMessageOfAnotherStream(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), CheckInterval: 100 * time.Second}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	unnoticed(t, b)
	publish(t, b, "room", "one")
	until(t, "it comes", func() bool { return len(r.took("room")) == 1 })
	old := b.epoch.Load()
	recreateStream(t, b)
	for range 20 { // so that the next one's sequence is behind that of the first
		storePack(t, b, "other", "", "")
	}
	storePack(t, b, "room", "", "two")
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

// TestStreamDeletedWhileConnected checks that a Broker makes its stream anew if it was deleted and
// the connection has stayed. It never did, so nothing was delivered until NATS was restarted.
func TestStreamDeletedWhileConnected(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL()}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	publish(t, b, "room", "one")
	until(t, "it comes", func() bool { return len(r.took("room")) == 1 })
	js, config := streamOf(t, b)
	if err := js.DeleteStream(t.Context(), config.Name); err != nil {
		t.Fatal(err)
	}
	until(t, "there is another stream", func() bool { return b.Stats().Resets == 1 })
	publish(t, b, "room", "two")
	until(t, "it comes", func() bool { return slices.Contains(r.took("room"), "two") })
	if took := slices.Compact(r.took("room")); !slices.Equal(took, []string{"one", "|", "two"}) {
		t.Errorf("it gets %q", took)
	}
}

// TestEpochOutlivesLimitOfBytes checks that the topics do not begin anew when so much was published
// that KeepBytes has taken away all messages of the stream's beginning.
func TestEpochOutlivesLimitOfBytes(t *testing.T) {
	const limit = 1 << 20
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), KeepBytes: limit, CheckInterval: 50 * time.Millisecond}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	data := strings.Repeat("x", limit/64)
	for range 4 * 64 / 16 {
		checks := b.Stats().Checks
		for range 16 {
			publish(t, b, "room", data)
		}
		until(t, "a check has begun since", func() bool { return b.Stats().Checks >= checks+2 })
	}
	a, err := b.get(getRequest{Seq: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if oldest := number(a.msgs[0], headerSequence); oldest < 10 {
		t.Fatalf("the oldest message is at %d", oldest)
	}
	if n := b.Stats().Resets; n != 0 {
		t.Errorf("the stream began anew %d times", n)
	}
	a, err = b.get(getRequest{NextFor: b.cfg.prefix + ".epoch", Seq: 1, Batch: 10})
	if err != nil || len(a.msgs) > 2 {
		t.Errorf("%d messages with epochs, error %v", len(a.msgs), err)
	}
	if took := r.took("room"); len(took) != 4*64 || slices.Contains(took, "|") {
		t.Errorf("%d messages and gaps", len(took))
	}
}
