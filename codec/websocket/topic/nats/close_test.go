package nats

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestCloseBeforeStart checks that a Broker may be closed that no Hub has started, or could start.
func TestCloseBeforeStart(t *testing.T) {
	b := new(Broker)
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	h := topic.Hub{Broker: b}
	if err := h.Publish("t", 1, nil); err == nil {
		t.Error("a Hub uses a Broker that is closed")
	}
	h.Close()

	b = &Broker{Prefix: "not a prefix"}
	h2 := topic.Hub{Broker: b}
	for range 2 {
		if err := h2.Publish("t", 1, nil); err == nil || errors.Is(err, topic.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	h2.Members("t", func(_ []topic.Member, err error) {
		if err == nil {
			t.Error("no error")
		}
	})
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	h2.Close()
	h2.Close()
	h2.Stats()
}

// TestStatsBeforeStart checks that somebody may look at the figures before a Hub uses the Broker.
func TestStatsBeforeStart(t *testing.T) {
	if s := new(Broker).Stats(); s != (Stats{}) {
		t.Errorf("%+v", s)
	}
}

// TestAnsweredWhileClosing checks that History and Members are answered, with an error, by a Broker
// that closes meanwhile.
func TestAnsweredWhileClosing(t *testing.T) {
	for range 20 {
		b := &Broker{URL: "nats://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler)}
		if err := b.Start(newRecorder(b), func(string) topic.Options { return topic.Options{} }); err != nil {
			t.Fatal(err)
		}
		var asking, open sync.WaitGroup
		answered := func(err error) {
			if err == nil {
				t.Error("no error")
			}
			open.Done()
		}
		began := make(chan struct{}, 8)
		for i := range cap(began) {
			asking.Go(func() {
				for n := 0; b.ctx.Err() == nil; n++ {
					open.Add(1)
					if i%2 == 0 {
						b.Members("t", func(_ []topic.Member, err error) { answered(err) })
					} else {
						b.History("t", topic.Position{}, 1,
							func(_ []topic.Message, _ bool, err error) { answered(err) })
					}
					if n == 0 {
						began <- struct{}{}
					}
				}
			})
		}
		for range cap(began) {
			<-began
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.Close(ctx)
		asking.Wait()
		all := make(chan struct{})
		go func() {
			open.Wait()
			close(all)
		}()
		select {
		case <-all:
		case <-time.After(10 * time.Second):
			t.Fatal("not all were answered")
		}
	}
}

// TestCloseDuringStart: a Broker that is closed while a Hub starts it leaves no connection behind,
// which would try to reconnect for ever.
func TestCloseDuringStart(t *testing.T) {
	s := startServer(t, nil)
	before := runtime.NumGoroutine()
	for i := range 500 {
		b := &Broker{URL: s.ClientURL(), Logger: slog.New(slog.DiscardHandler)}
		var both sync.WaitGroup
		both.Go(func() { _ = b.Start(newRecorder(b), nil) })
		both.Go(func() {
			for range 4 * i {
				runtime.Gosched()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_ = b.Close(ctx)
		})
		both.Wait()
	}
	until(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before+10 })
}
