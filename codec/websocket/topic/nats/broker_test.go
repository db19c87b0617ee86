package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// pair starts two Brokers on one server.
func pair(t *testing.T, url string) (b [2]*Broker, r [2]*recorder) {
	t.Helper()
	for i := range b {
		b[i] = &Broker{URL: url}
		r[i] = newRecorder(b[i])
		startBroker(t, b[i], r[i])
	}
	for i := range b {
		ready(t, b[i])
	}
	return b, r
}

// subscribe subscribes and waits until the subscription has begun.
func subscribe(t *testing.T, b *Broker, r *recorder, name string) {
	t.Helper()
	if err := b.Subscribe(name); err != nil {
		t.Fatal(err)
	}
	until(t, "the subscription begins", func() bool { return r.begun(name) })
}

// publish publishes a text.
func publish(t *testing.T, b *Broker, name, text string) {
	t.Helper()
	if err := b.Publish(name, wsproto.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestOneOrder checks that nodes which publish at the same time see the same order without gaps.
func TestOneOrder(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	const names, count = 20, 500
	for i := range names {
		for j := range b {
			subscribe(t, b[j], r[j], fmt.Sprint("room ", i, ".*>"))
		}
	}
	for i := range count {
		for j := range b {
			publish(t, b[j], fmt.Sprint("room ", i%names, ".*>"), fmt.Sprint(j, " ", i))
		}
	}
	for i := range names {
		name := fmt.Sprint("room ", i, ".*>")
		for j := range b {
			until(t, "all messages come", func() bool { return len(r[j].took(name)) == 2*count/names })
		}
		one, two := r[0].took(name), r[1].took(name)
		if fmt.Sprint(one) != fmt.Sprint(two) {
			t.Fatalf("%v on one node, %v on the other", one, two)
		}
		next := [2]int{i, i}
		for _, text := range one {
			var from, n int
			if _, err := fmt.Sscan(text, &from, &n); err != nil || n != next[from] {
				t.Fatalf("%q in %v", text, one)
			}
			next[from] += names
		}
	}
	if st := b[0].Stats(); st.Lost != 0 || st.Stored != count || st.Received != 2*count {
		t.Errorf("%+v", st)
	}
}

// TestHistory checks what a history has after positions of all kinds.
func TestHistory(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), KeepMessages: 10}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	publish(t, b, "other", "x")
	until(t, "it is stored", func() bool { return b.Stats().Stored == 1 })
	subscribe(t, b, r, "room")
	empty := r.topics["room"].last
	if empty.Epoch == 0 || empty.Seq == 0 {
		t.Fatal("position of an empty topic", empty)
	}
	msgs, complete, err := history(b, "room", empty, 100)
	if len(msgs) != 0 || !complete || err != nil {
		t.Fatal("history of an empty topic:", msgs, complete, err)
	}
	if msgs, complete, err = history(b, "room", topic.Position{}, 1); len(msgs) != 0 || !complete || err != nil {
		t.Fatal("last value of an empty topic:", msgs, complete, err)
	}
	for i := range 14 {
		publish(t, b, "room", fmt.Sprint(i))
		until(t, "it comes", func() bool { return len(r.took("room")) == i+1 })
	}
	at := func(i int) topic.Position { return r.events[i+1].at }
	for _, c := range []struct {
		name     string
		after    topic.Position
		limit    int
		first    int
		count    int
		complete bool
	}{
		{"the last one", at(13), 100, 0, 0, true},
		{"one behind", at(12), 100, 13, 1, true},
		{"as many as are kept", at(3), 100, 4, 10, true},
		{"more than are kept", at(2), 100, 3, 11, false},
		{"from the beginning", empty, 100, 3, 11, false},
		{"more than the limit", at(8), 3, 11, 3, false},
		{"the newest one", topic.Position{}, 1, 13, 1, true},
		{"the newest ones", topic.Position{}, 4, 10, 4, true},
		{"another epoch", topic.Position{Epoch: 1, Seq: at(12).Seq}, 5, 9, 5, false},
	} {
		msgs, complete, err := history(b, "room", c.after, c.limit)
		if err != nil || complete != c.complete || len(msgs) != c.count ||
			len(msgs) > 0 && string(msgs[0].Data) != fmt.Sprint(c.first) {
			t.Errorf("%s: %v, %v, %v", c.name, msgs, complete, err)
		}
		for i := 1; i < len(msgs); i++ {
			if msgs[i].Prev != msgs[i-1].Seq || msgs[i].Op != wsproto.Text {
				t.Errorf("%s: %+v after %+v", c.name, msgs[i], msgs[i-1])
			}
		}
	}
}

// TestUnnoticedTail checks that a loss which no later message reveals is mended.
func TestUnnoticedTail(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	subscribe(t, b[1], r[1], "room")
	publish(t, b[0], "room", "one")
	until(t, "the first one comes", func() bool { return len(r[1].took("room")) == 1 })
	deafen(t, b[1], "room")
	publish(t, b[0], "room", "two")
	until(t, "the second one is found", func() bool { return len(r[1].took("room")) == 2 })
	if got := fmt.Sprint(r[1].took("room")); got != "[one two]" {
		t.Error(got)
	}
	if st := b[1].Stats(); st.Lost == 0 {
		t.Errorf("no loss was told: %+v", st)
	}
}

// deafen ends the subscription of a topic behind the Broker's back.
func deafen(t *testing.T, b *Broker, name string) {
	t.Helper()
	token, err := escape(name)
	if err != nil {
		t.Fatal(err)
	}
	subject := b.subject("out", token)
	shard := b.topics.shard(subject)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if err := shard.topics[subject].sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Load().Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestServerComesBackEmpty checks that the loss of everything is told.
func TestServerComesBackEmpty(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	publish(t, b[0], "room", "one")
	until(t, "it comes", func() bool { return len(r[1].took("room")) == 1 })
	o := s.Addr().(*net.TCPAddr)
	s.Shutdown()
	s.WaitForShutdown()
	// What is on its way when the server ends fails with ErrReset.
	until(t, "the end is noticed", func() bool { return !b[0].nc.Load().IsConnected() })
	startServer(t, func(opts *server.Options) { opts.Port = o.Port })
	publish(t, b[0], "room", "two")
	for i := range b {
		until(t, "the gap is told and the message comes", func() bool {
			return fmt.Sprint(r[i].took("room")) == "[one | two]" ||
				fmt.Sprint(r[i].took("room")) == "[one | | two]"
		})
	}
	if st := b[1].Stats(); st.Resets != 1 || st.Lost != 1 {
		t.Errorf("%+v", st)
	}
}

// TestSilenceIsNoGap checks that a message after all others have gone because of their age is no
// gap.
func TestSilenceIsNoGap(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	subscribe(t, b[1], r[1], "room")
	publish(t, b[0], "room", "one")
	until(t, "it comes", func() bool { return len(r[1].took("room")) == 1 })
	checks := b[1].Stats().Checks
	until(t, "it is checked", func() bool { return b[1].Stats().Checks > checks+1 })
	if err := purge(b[0], "room"); err != nil {
		t.Fatal(err)
	}
	publish(t, b[0], "room", "two")
	until(t, "it comes", func() bool { return len(r[1].took("room")) == 2 })
	if got := fmt.Sprint(r[1].took("room")); got != "[one two]" {
		t.Error(got)
	}
}

// purge removes the messages of a topic from the stream, as their age would.
func purge(b *Broker, name string) error {
	js, err := jetstream.New(b.nc.Load())
	if err != nil {
		return err
	}
	s, err := js.Stream(b.ctx, b.cfg.stream)
	if err != nil {
		return err
	}
	return s.Purge(b.ctx, jetstream.WithPurgeSubject(b.subject("in", name)))
}

// TestStreamLosesItsNewest checks that sequences which are used again are a new epoch.
func TestStreamLosesItsNewest(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	publish(t, b[0], "room", "one")
	for i := range b {
		until(t, "it comes", func() bool { return len(r[i].took("room")) == 1 })
	}
	b[0].topics.seen.Store(1000) // as if the stream had been there
	for i := range b {
		until(t, "the new epoch is found", func() bool { return b[i].Stats().Resets == 1 })
	}
	if b[0].epoch.Load() != b[1].epoch.Load() {
		t.Error("two epochs")
	}
	publish(t, b[0], "room", "two")
	for i := range b {
		until(t, "it comes behind a gap", func() bool {
			took := r[i].took("room")
			return took[len(took)-1] == "two"
		})
		if took := slices.Compact(r[i].took("room")); !slices.Equal(took, []string{"one", "|", "two"}) {
			t.Errorf("subscriber %d gets %q", i, took)
		}
	}
	// Somebody new gets all that there is.
	if msgs, _, err := history(b[0], "room", topic.Position{}, 10); len(msgs) != 2 || err != nil {
		t.Errorf("the history is %v, %v", msgs, err)
	}
}

// TestSlowSink checks that messages which nats.go drops, because the Sink is too slow, are fetched.
func TestSlowSink(t *testing.T) {
	s := startServer(t, nil)
	const count = 2 * shardPending
	b := &Broker{URL: s.ClientURL(), KeepMessages: 2 * count}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	r.mu.Lock()
	for i := range count {
		data := appendMessage(nil, wsproto.Text, fmt.Append(nil, i))
		if err := b.nc.Load().Publish(b.subject("in", "room"), data); err != nil {
			t.Fatal(err)
		}
	}
	sub := b.topics.shard(b.subject("out", "room")).topics[b.subject("out", "room")].sub
	until(t, "messages are dropped", func() bool { n, _ := sub.Dropped(); return n > 0 })
	r.mu.Unlock()
	until(t, "all messages come", func() bool { return len(r.took("room")) >= count })
	for i, text := range r.took("room") {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
	if st := b.Stats(); st.Histories == 0 {
		t.Errorf("%+v", st)
	}
}

// TestReadyTellsWhyNoServerIsReached: it told of the end of its context only.
func TestReadyTellsWhyNoServerIsReached(t *testing.T) {
	b := &Broker{URL: "nats://127.0.0.1:1"}
	startBroker(t, b, newRecorder(b))
	until(t, "the reason", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return errors.Is(b.Ready(ctx), syscall.ECONNREFUSED)
	})
}
