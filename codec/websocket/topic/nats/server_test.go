package nats

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// startServer runs a server of NATS in this process until the test ends.
func startServer(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(),
	}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

// startBroker starts a Broker with short times until the test ends.
func startBroker(t testing.TB, b *Broker, sink topic.Sink) {
	t.Helper()
	if b.CheckInterval == 0 {
		b.CheckInterval = 500 * time.Millisecond
	}
	if b.Logger == nil {
		b.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	err := b.Start(sink, func(string) topic.Options { return topic.Options{Presence: true} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = b.Close(ctx)
	})
}

// ready waits until a Broker can be used.
func ready(t testing.TB, b *Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(deadline) {
			t.Fatal("timeout: ", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
