package load

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

const short = 150 * time.Millisecond

// mustRun runs a load in which nothing may go wrong.
func mustRun(t *testing.T, c Config) Result {
	t.Helper()
	c.ServerPID = os.Getpid()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed != 0 || r.Wrong != 0 || r.FirstError != "" {
		t.Errorf("%d failed (%s), %d wrong", r.Failed, r.FirstError, r.Wrong)
	}
	if r.ServerCPU <= 0 || r.ServerBusy <= 0 || r.LoadCPU <= 0 || r.RSS <= 0 || r.RSSBefore <= 0 || r.Seconds <= 0 {
		t.Errorf("nothing was measured: %+v", r)
	}
	return r
}

// checkLatency checks that a summary agrees with its histogram.
func checkLatency(t *testing.T, what string, l Latency, atLeast int64) {
	t.Helper()
	if l.Count < atLeast || l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max || l.Mean > l.Max {
		t.Errorf("%s: %+v, want at least %d", what, l, atLeast)
		return
	}
	h, err := hdrhistogram.Decode([]byte(l.Hist))
	if err != nil {
		t.Fatalf("%s: histogram: %v", what, err)
	}
	if h.TotalCount() != l.Count || float64(h.Max())/1e3 != l.Max {
		t.Errorf("%s: the histogram has %d values up to %d ns, the summary %d up to %v us",
			what, h.TotalCount(), h.Max(), l.Count, l.Max)
	}
}

func TestEcho(t *testing.T) {
	ws, tcp := serveWS(t, nil), serveTCP(t)
	compressing := serveWS(t, &websocket.Compression{ServerTakeover: true, ClientTakeover: true})
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"ws", Config{Addr: ws, Protocol: "ws", Conns: 20, Size: 32}},
		{"ws, nothing in it", Config{Addr: ws, Protocol: "ws", Conns: 2, Size: 0}},
		{"ws, text", Config{Addr: ws, Protocol: "ws", Conns: 5, Size: 200, Text: true}},
		{"ws, 16 in flight", Config{Addr: ws, Protocol: "ws", Conns: 20, Size: 128, InFlight: 16}},
		{"ws, 64 KiB", Config{Addr: ws, Protocol: "ws", Conns: 5, Size: 64 << 10, InFlight: 3}},
		{"ws, 1 MiB, 16 in flight",
			Config{Addr: ws, Protocol: "ws", Conns: 3, Size: 1 << 20, InFlight: 16, Duration: 4 * short}},
		{"ws, two loops", Config{Addr: ws, Protocol: "ws", Conns: 20, Size: 32, Loops: 2}},
		{"ws, open loop", Config{Addr: ws, Protocol: "ws", Conns: 20, Size: 32, Rate: 2000, InFlight: 4}},
		{"ws, compressed", Config{Addr: compressing, Protocol: "ws", Conns: 5, Size: 1000, Compress: true}},
		{"ws, compressed, too small for that",
			Config{Addr: compressing, Protocol: "ws", Conns: 5, Size: 16, Compress: true, Text: true}},
		{"tcp", Config{Addr: tcp, Protocol: "tcp", Conns: 20, Size: 32}},
		{"tcp, 16 in flight", Config{Addr: tcp, Protocol: "tcp", Conns: 20, Size: 1, InFlight: 16}},
		{"tcp, 1 MiB, 32 in flight",
			Config{Addr: tcp, Protocol: "tcp", Conns: 1, Size: 1 << 20, InFlight: 32, Duration: 4 * short}},
		{"tcp, open loop", Config{Addr: tcp, Protocol: "tcp", Conns: 3, Size: 64, Rate: 1000, Loops: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Kind, c.config.WarmUp, c.config.Duration = Echo, short/3, max(c.config.Duration, short)
			r := mustRun(t, c.config)
			if r.Opened != c.config.Conns || r.Messages == 0 || r.PerSecond <= 0 {
				t.Errorf("%d opened, %d messages, %v/s", r.Opened, r.Messages, r.PerSecond)
			}
			checkLatency(t, "latency", r.Latency, 1)
			checkLatency(t, "handshake", r.Handshake, int64(c.config.Conns))
			if c.config.Rate == 0 && r.Latency.Count != int64(r.Messages) {
				t.Errorf("%d messages have %d latencies", r.Messages, r.Latency.Count)
			}
			// By Little's law there were no more messages in flight than allowed. A latency may
			// have begun before the time that was measured.
			inFlight := r.Latency.Mean * float64(r.Latency.Count) / (r.Seconds*1e6 + r.Latency.Max)
			limit := float64(c.config.Conns * max(c.config.InFlight, 1))
			if c.config.Rate == 0 && inFlight > 1.1*limit {
				t.Errorf("the latencies of %d messages add up to %.1f in flight, more than %v",
					r.Latency.Count, inFlight, limit)
			}
		})
	}
}

func TestOtherKinds(t *testing.T) {
	ws, tcp := serveWS(t, nil), serveTCP(t)
	for _, c := range []struct {
		name   string
		config Config
		opened int // 0: some
		count  int64
	}{
		{"broadcast",
			Config{Kind: Broadcast, Addr: ws, Protocol: "ws", Conns: 50, Size: 100}, 50, 1},
		{"broadcast, two loops",
			Config{Kind: Broadcast, Addr: ws, Protocol: "ws", Conns: 50, Size: 100, Loops: 2}, 50, 1},
		{"idle, for longer than a handshake may take",
			Config{Kind: Idle, Addr: ws, Protocol: "ws", Conns: 100, Timeout: 2 * time.Second,
				Duration: 2100 * time.Millisecond}, 100, 0},
		{"storm", Config{Kind: Storm, Addr: ws, Protocol: "ws", Conns: 300}, 300, 0},
		{"storm, ramped", Config{Kind: Storm, Addr: ws, Protocol: "ws", Conns: 50, Ramp: 500}, 50, 0},
		{"storm, tcp", Config{Kind: Storm, Addr: tcp, Protocol: "tcp", Conns: 300, Size: 1}, 300, 0},
		{"churn", Config{Kind: Churn, Addr: ws, Protocol: "ws", Conns: 1, InFlight: 8, Size: 10}, 0, 1},
		{"churn, tcp",
			Config{Kind: Churn, Addr: tcp, Protocol: "tcp", Conns: 1, InFlight: 8, Size: 10, Loops: 2}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.WarmUp, c.config.Duration = short/3, max(c.config.Duration, short)
			r := mustRun(t, c.config)
			if c.opened > 0 && r.Opened != c.opened || r.Opened == 0 {
				t.Errorf("%d opened, want %d", r.Opened, c.opened)
			}
			// Two broadcasts may have begun before.
			if c.config.Kind == Broadcast && int64(r.Messages) < (r.Latency.Count-2)*int64(c.opened) {
				t.Errorf("%d messages in %d broadcasts", r.Messages, r.Latency.Count)
			}
			if c.config.Ramp > 0 && r.PerSecond > 2*c.config.Ramp {
				t.Errorf("%v connections a second, want %v", r.PerSecond, c.config.Ramp)
			}
			if c.count > 0 {
				checkLatency(t, "latency", r.Latency, c.count)
			}
			checkLatency(t, "handshake", r.Handshake, int64(max(c.opened, 1)))
			prefix := string(c.config.Kind) + " over " + c.config.Protocol
			if s := r.Sentence(); !strings.HasPrefix(s, prefix) || strings.Contains(s, "failed") {
				t.Errorf("%q, want %q and no failure", s, prefix)
			}
		})
	}
}

// TestMessages checks that measuring goes on until enough messages have arrived, and that Begin and
// End are called once each.
func TestMessages(t *testing.T) {
	addr, why := serveTCP(t), errors.New("no figures")
	config := Config{Kind: Echo, Addr: addr, Protocol: "tcp", Conns: 2, Size: 1, Duration: 1, Messages: 500}
	for _, test := range []struct {
		name       string
		begin, end error
	}{
		{name: "both are told"},
		{name: "the beginning fails", begin: why},
		{name: "the end fails", end: why},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, calls := config, ""
			c.Begin = func() error { calls += "begin "; return test.begin }
			c.End = func() error { calls += "end "; return test.end }
			want := "begin end "
			if test.begin != nil {
				want = "begin "
			}
			r, err := Run(t.Context(), c)
			if !errors.Is(err, cmp.Or(test.begin, test.end)) || calls != want {
				t.Errorf("%v, called %q, want %q", err, calls, want)
			}
			if err == nil && r.Messages < 500 {
				t.Errorf("%d messages, want 500", r.Messages)
			}
		})
	}
}

// TestSteps uses a Session: connections in two parts, a message on each, a message to all.
func TestSteps(t *testing.T) {
	s, err := NewSession(Config{Addr: serveWS(t, nil), Protocol: "ws", Conns: 60, Size: 20, Opening: 7, Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := s.Open(t.Context(), 30); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		r, err := s.EchoOnce(t.Context())
		if err != nil || r.Messages != 60 || r.Latency.Count != 60 || r.Wrong != 0 {
			t.Errorf("echo: %v, %+v", err, r)
		}
		r, err = s.Broadcast(t.Context())
		if err != nil || r.Messages != 60 || r.Latency.Count != 1 || r.Wrong != 0 {
			t.Errorf("broadcast: %v, %+v", err, r)
		}
	}
	if s.Opened() != 61 || s.Failed() != 0 || s.FirstError() != nil {
		t.Errorf("%d open, %d failed, %v", s.Opened(), s.Failed(), s.FirstError())
	}
}

func TestRefusals(t *testing.T) {
	good := Config{Kind: Echo, Addr: "127.0.0.1:1", Protocol: "ws", Conns: 1, Size: 1}
	for _, c := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"protocol", "want ws or tcp", func(c *Config) { c.Protocol = "udp" }},
		{"kind", "unknown kind", func(c *Config) { c.Kind = "flood" }},
		{"no connections", "0 connections", func(c *Config) { c.Conns = 0 }},
		{"too many connections", "raise it", func(c *Config) { c.Conns = 1 << 30 }},
		{"no bytes over TCP", "at least one byte", func(c *Config) { c.Protocol, c.Size = "tcp", 0 }},
		{"text over TCP", "use ws", func(c *Config) { c.Protocol, c.Text = "tcp", true }},
		{"address", "missing port", func(c *Config) { c.Addr = "127.0.0.1" }},
		{"nobody listens", "connection refused", func(*Config) {}},
	} {
		config := good
		c.change(&config)
		if _, err := Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	addr := serveNet(t, func(nc net.Conn) {
		cancel(why)
		nc.Read(make([]byte, 1))
		<-t.Context().Done()
	})
	_, err := Run(ctx, Config{Kind: Echo, Addr: addr, Protocol: "tcp", Conns: 1, Size: 1, Duration: time.Hour})
	if !errors.Is(err, why) {
		t.Error(err)
	}
}

// TestSources checks that many connections come from more than one address.
func TestSources(t *testing.T) {
	s := &Session{loopback: true, cfg: Config{Conns: perSource}}
	if got := s.sourceOf(5); got.IsValid() {
		t.Errorf("one address has ports enough, and %v is bound to", got)
	}
	s.cfg.Conns = 1_000_000
	for i, want := range map[int64]string{
		0: "127.0.1.1:0", perSource - 1: "127.0.1.1:0", perSource: "127.0.1.2:0", 999_999: "127.0.1.50:0",
	} {
		if got := s.sourceOf(i); got.String() != want {
			t.Errorf("connection %d comes from %v, want %s", i, got, want)
		}
	}
	if got := source(250).String(); got != "127.0.2.1:0" {
		t.Errorf("source 250 is %s", got)
	}
	if runtime.GOOS != "linux" {
		return
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	addr := serveEngine(t, func(c *engine.Conn) engine.Protocol {
		mu.Lock()
		defer mu.Unlock()
		seen[c.RemoteAddr().Addr().String()] = true
		return tcpEcho{c}
	})
	r := mustRun(t, Config{Kind: Churn, Addr: addr, Protocol: "tcp", Conns: 1, InFlight: 4, Size: 1, Duration: short})
	mu.Lock()
	defer mu.Unlock()
	if r.Opened < 3 || len(seen) < 3 || !seen["127.0.1.1"] || !seen["127.0.1.2"] {
		t.Errorf("%d connections came from %d addresses", r.Opened, len(seen))
	}
}

func TestBottleneck(t *testing.T) {
	own := os.Getpid()
	theirs := float64(cores(own))
	full := float64(min(1, runtime.GOMAXPROCS(0)))
	for _, c := range []struct {
		name         string
		config       Config
		server, load float64
		late         uint64 // messages of 1000
		want         bool
	}{
		{"both have time", Config{Kind: Echo, ServerPID: own}, 0.4, 0.4, 0, false},
		{"the generator has none", Config{Kind: Echo, ServerPID: own}, 0.4, full, 0, true},
		{"neither has any", Config{Kind: Echo, ServerPID: own}, theirs, full, 0, false},
		{"the server is not known", Config{Kind: Echo}, 0, full, 0, true},
		{"an open loop never sleeps", Config{Kind: Echo, ServerPID: own, Rate: 1}, 0.4, full, 5, false},
		{"an open loop is late", Config{Kind: Echo, ServerPID: own, Rate: 1}, 0.4, full, 50, true},
		{"late, since the server takes all", Config{Kind: Echo, ServerPID: own, Rate: 1}, theirs, full, 50, false},
	} {
		c.config.Loops = 1
		s := &Session{cfg: c.config}
		r := Result{ServerBusy: c.server, LoadBusy: c.load}
		if got := s.bottleneck(&r, counts{messages: 1000, late: c.late}); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
