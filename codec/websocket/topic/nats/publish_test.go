package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestPublishWhenDown checks that without a server, Publish does not block, fails when the queue
// is full, keeps memory bounded, and tells of everything that it gives up.
func TestPublishWhenDown(t *testing.T) {
	var mu sync.Mutex
	failed := 0
	b := &Broker{
		URL: "nats://127.0.0.1:1", MaxPending: 4 << 20, PublishTimeout: 1500 * time.Millisecond,
		Failed: func(_ string, n int, err error) {
			mu.Lock()
			defer mu.Unlock()
			if failed += n; !errors.Is(err, ErrTimeout) {
				t.Errorf("given up because of %v", err)
			}
		},
	}
	startBroker(t, b, newRecorder(b))
	before := heap()
	data := make([]byte, 1000)
	taken, slowest := 0, time.Duration(0)
	for i := range 100_000 {
		start := time.Now()
		err := b.Publish(fmt.Sprint("room", i%1000), wsproto.Binary, data)
		slowest = max(slowest, time.Since(start))
		if err == nil {
			taken++
		} else if !errors.Is(err, engine.ErrBusy) {
			t.Fatal(err)
		}
	}
	if most := 4 << 20 / len(data); taken != most {
		t.Errorf("%d messages were taken, of %d that have room", taken, most)
	}
	grown := heap() - before
	t.Logf("%d taken, %.1f MiB, slowest call %v", taken, float64(grown)/(1<<20), slowest)
	if grown > 16<<20 {
		t.Errorf("%d bytes of heap", grown)
	}
	until(t, "everything is given up", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return failed == taken
	})
	if n, bytes := b.queue.pending(); n != 0 || bytes != 0 || len(b.queue.topics) != 0 {
		t.Error("still waiting:", n, bytes, len(b.queue.topics))
	}
	if err := b.Publish("room", wsproto.Text, nil); !errors.Is(err, ErrDown) {
		t.Error("after a long time:", err)
	}
}

// heap returns the bytes of live objects.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestPublishBeforeServer checks that what was published before there was a server is delivered.
func TestPublishBeforeServer(t *testing.T) {
	port := freePorts(t, 1)[0]
	b := &Broker{URL: fmt.Sprint("nats://127.0.0.1:", port)}
	r := newRecorder(b)
	startBroker(t, b, r)
	if err := b.Subscribe("room"); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "room", "one")
	startServer(t, func(o *server.Options) { o.Port = port })
	ready(t, b)
	until(t, "the message is stored", func() bool { return b.Stats().Stored == 1 })
	if !r.begun("room") || len(r.took("room")) == 0 {
		until(t, "the topic has begun", func() bool { return r.begun("room") })
	}
	publish(t, b, "room", "two")
	until(t, "it comes", func() bool { return slices.Contains(r.took("room"), "two") })
}

// TestOrderAcrossRetries checks that a publisher's order survives that the server loses what was
// sent, and that what was stored, but not acknowledged, is not stored twice.
func TestOrderAcrossRetries(t *testing.T) {
	s := startServer(t, nil)
	p := startProxy(t, s.Addr().String())
	b := &Broker{URL: "nats://" + p.Addr().String()}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	const count = 2000
	for i := range count {
		publish(t, b, "room", fmt.Sprint(i))
		if i%400 == 200 { // with messages and acknowledgements on their way
			syncs := b.Stats().Syncs
			p.cut()
			for j := range 50 {
				publish(t, b, "other", fmt.Sprint(j))
			}
			until(t, "the connection is back", func() bool { return b.Stats().Syncs > syncs })
		}
	}
	until(t, "all messages come", func() bool { return len(r.took("room")) >= count })
	for i, text := range r.took("room") {
		if text != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, text)
		}
	}
	if st := b.Stats(); st.Syncs < 6 || st.Resent == 0 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

// TestPublishErrors checks the errors of Publish.
func TestPublishErrors(t *testing.T) {
	s := startServer(t, nil)
	b := &Broker{URL: s.ClientURL(), MaxPendingMessages: 1 << 20}
	startBroker(t, b, newRecorder(b))
	ready(t, b)
	for _, c := range []struct {
		name, topic string
		size        int
		want        error
	}{
		{"no name", "", 1, topic.ErrName},
		{"not UTF-8", "\xff", 1, topic.ErrName},
		{"larger than the server allows", "room", 1 << 20, ErrTooLarge},
		{"as large as possible", "room", 1<<20 - headerRoom, nil},
	} {
		if err := b.Publish(c.topic, wsproto.Binary, make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	until(t, "the large one is stored", func() bool { return b.Stats().Stored == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Publish("room", wsproto.Text, nil); !errors.Is(err, topic.ErrClosed) {
		t.Error("after Close:", err)
	}
}

// TestCloseFlushes checks that Close waits for what was published.
func TestCloseFlushes(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	subscribe(t, b[1], r[1], "room")
	for i := range 1000 {
		publish(t, b[0], "room", fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b[0].Close(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, "all messages come", func() bool { return len(r[1].took("room")) == 1000 })
}

// proxy passes connections on to a server until they are cut.
type proxy struct {
	net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	blocked bool
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l}
	t.Cleanup(func() { l.Close(); p.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", server)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			if p.blocked {
				in.Close()
			}
			p.mu.Unlock()
			go pass(in, out)
			go pass(out, in)
		}
	}()
	return p
}

// pass copies what is read in small pieces, so that cuts are in the midst of messages.
func pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 1000)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// block ends all connections, and lets no new ones through, or lets them through again.
func (p *proxy) block(on bool) {
	p.mu.Lock()
	p.blocked = on
	p.mu.Unlock()
	p.cut()
}

// TestLostAckAndEmptyStream checks that what was stored and delivered, but not acknowledged, is not
// sent to a stream that has begun anew while the connection stayed.
func TestLostAckAndEmptyStream(t *testing.T) {
	s := startServer(t, nil)
	failed := make(chan error, 1)
	b := &Broker{URL: s.ClientURL(), CheckInterval: 100 * time.Second}
	b.Failed = func(_ string, _ int, err error) { failed <- err }
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	subscribe(t, b, r, "room")
	unnoticed(t, b)
	if err := b.keeper.acks.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "room", "one")
	until(t, "it comes", func() bool { return len(r.took("room")) == 1 })
	recreateStream(t, b)
	select {
	case err := <-failed:
		if !errors.Is(err, ErrReset) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it was not given up")
	}
	until(t, "the gap is told", func() bool { return slices.Contains(r.took("room"), "|") })
	if got := r.took("room"); slices.Index(got[1:], "one") >= 0 {
		t.Error(got)
	}
}
