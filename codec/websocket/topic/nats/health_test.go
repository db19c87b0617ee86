package nats

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// TestHealth checks that a health check sees that the server is gone, and that it is back.
func TestHealth(t *testing.T) {
	port := freePorts(t, 1)[0]
	start := func() *server.Server { return startServer(t, func(o *server.Options) { o.Port = port }) }
	s := start()
	b := &Broker{URL: s.ClientURL()}
	if b.Health() == nil {
		t.Error("a Broker that nobody has started is well")
	}
	startBroker(t, b, newRecorder(b))
	ready(t, b)
	until(t, "all is well", func() bool { return b.Health() == nil })
	s.Shutdown()
	s.WaitForShutdown()
	until(t, "the server is missed", func() bool { return b.Health() != nil })
	if err := b.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	start()
	until(t, "all is well again", func() bool { return b.Health() == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	b.Close(ctx)
	if err := b.Health(); !errors.Is(err, topic.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCloseTellsWhy checks that who closes a Broker without a server learns why messages are lost.
func TestCloseTellsWhy(t *testing.T) {
	var failed error
	b := &Broker{URL: "nats://127.0.0.1:1", Failed: func(_ string, _ int, err error) { failed = err }}
	startBroker(t, b, newRecorder(b))
	if err := b.Publish("room", wsproto.Text, []byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, "it is not connected", func() bool { return b.keeper.lastError() != nil })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := b.Close(ctx)
	for _, err := range []error{err, failed} {
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") && !strings.Contains(err.Error(), "no servers") {
			t.Errorf("error %v", err)
		}
	}
	if !errors.Is(failed, topic.ErrClosed) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("errors %v and %v", failed, err)
	}
}

// TestNestedPrefix checks that no prefix is within the subjects of another one.
func TestNestedPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix string
		good   bool
	}{
		{"myriad", true}, {"myriad.chat", true}, {"in", true}, {"myriad.in", false},
		{"myriad.out.room", false}, {"myriad.presence", false}, {"a.b.epoch", false},
	} {
		if err := checkPrefix(c.prefix); (err == nil) != c.good {
			t.Errorf("%s: %v", c.prefix, err)
		}
	}
}
