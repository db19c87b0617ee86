package nats

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// TestCallbacksThatPanic: a panic in a callback, which the Broker's goroutines call, ended the
// process, and runtime.Goexit left the Broker without that goroutine.
func TestCallbacksThatPanic(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("callback") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var failed atomic.Int32
			b := &Broker{URL: "nats://127.0.0.1:1", PublishTimeout: 10 * time.Millisecond}
			b.Failed = func(string, int, error) {
				failed.Add(1)
				end()
			}
			startBroker(t, b, newRecorder(b))
			for i := range int32(2) {
				b.queue.mu.Lock()
				b.queue.down = time.Time{} // or Publish fails with ErrDown
				b.queue.mu.Unlock()
				if err := b.Publish("room", wsproto.Text, []byte("x")); err != nil {
					t.Fatal(err)
				}
				until(t, "Failed is called", func() bool { return failed.Load() > i })
				answered := make(chan error, 1)
				b.Members("room", func(_ []topic.Member, err error) {
					answered <- err
					end()
				})
				select {
				case <-answered:
				case <-time.After(10 * time.Second):
					t.Fatal("Members is not answered")
				}
			}
		})
	}
}

// TestLoggerThatPanics: see TestCallbacksThatPanic.
func TestLoggerThatPanics(t *testing.T) {
	b := &Broker{URL: "nats://127.0.0.1:1", Logger: slog.New(panics{slog.DiscardHandler})}
	startBroker(t, b, newRecorder(b))
	until(t, "it is not connected", func() bool { return b.Health() != nil && b.keeper.lastError() != nil })
}

// panics is a log Handler.
type panics struct{ slog.Handler }

func (panics) Enabled(context.Context, slog.Level) bool { panic("log") }

// TestCredentialsThatCome: after a server had refused the same credentials twice, the connection
// was closed for good.
func TestCredentialsThatCome(t *testing.T) {
	port := freePorts(t, 1)[0]
	start := func(password string) *server.Server {
		return startServer(t, func(o *server.Options) { o.Port, o.Username, o.Password = port, "node", password })
	}
	end := func(s *server.Server) {
		s.Shutdown()
		s.WaitForShutdown()
	}
	s := start("right")
	var refused atomic.Int32
	b := &Broker{URL: s.ClientURL(), Options: []nats.Option{nats.UserInfo("node", "right"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrAuthorization) {
				refused.Add(1)
			}
		})}}
	startBroker(t, b, newRecorder(b))
	ready(t, b)
	end(s)
	s = start("wrong")
	until(t, "the credentials are refused", func() bool { return refused.Load() >= 2 })
	end(s)
	start("right")
	until(t, "all is well again", func() bool { return b.Health() == nil })
}
