package load

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// TestWrongByteIsNoticed changes one byte of one reply, at each place.
func TestWrongByteIsNoticed(t *testing.T) {
	const size = 5
	for _, protocol := range []string{"tcp", "ws"} {
		for at := range size {
			for _, inFlight := range []int{1, 4} {
				l := &liar{ws: protocol == "ws", size: size, reply: func(_, i int, echo []byte) ([]byte, bool) {
					if i == 7 {
						echo = bytes.Clone(echo)
						echo[len(echo)-size+at] ^= 1
					}
					return echo, true
				}}
				r, err := Run(t.Context(), Config{Kind: Echo, Addr: serveNet(t, l.serve), Protocol: protocol,
					Conns: 1, Size: size, InFlight: inFlight, Messages: 8})
				if err != nil || r.Wrong != 1 || r.Failed != 0 {
					t.Errorf("%s, byte %d, %d in flight: %v, %d of %d wrong, want 1; %s",
						protocol, at, inFlight, err, r.Wrong, r.Messages, r.FirstError)
				}
			}
		}
	}
}

// TestLies runs against servers that misbehave in other ways.
func TestLies(t *testing.T) {
	twice := func(b []byte) []byte { return append(bytes.Clone(b), b...) }
	for _, c := range []struct {
		name       string
		ws         bool
		reply      func(conn, i int, echo []byte) ([]byte, bool)
		timeout    time.Duration
		err        string // of Run
		wrong      bool
		failed     int
		firstError string
	}{
		{name: "answers twice",
			reply: func(_, _ int, echo []byte) ([]byte, bool) { return twice(echo), true },
			err:   "all connections have ended"},
		{name: "answers twice to one of two", reply: func(conn, _ int, echo []byte) ([]byte, bool) {
			if conn == 1 {
				return twice(echo), true
			}
			return echo, true
		}, wrong: true, failed: 1, firstError: "more replies than messages"},
		{name: "closes one of two",
			reply:  func(conn, i int, echo []byte) ([]byte, bool) { return echo, conn != 1 || i < 5 },
			failed: 1, firstError: "connection ended"},
		{name: "closes all",
			reply: func(_, i int, echo []byte) ([]byte, bool) { return echo, i < 5 },
			err:   "all connections have ended"},
		{name: "closes one of two WebSockets", ws: true, reply: func(conn, i int, echo []byte) ([]byte, bool) {
			if conn == 1 {
				return []byte("\x88\x05\x03\xf1why"), true
			}
			return echo, true
		}, failed: 1, firstError: `code 1009 "why"`},
		{name: "breaks the protocol", ws: true, reply: func(conn, i int, echo []byte) ([]byte, bool) {
			if conn == 1 {
				return []byte{0x83, 0}, true
			}
			return echo, true
		}, failed: 1, firstError: "RFC 6455"},
		{name: "never answers",
			reply:   func(int, int, []byte) ([]byte, bool) { return nil, true },
			timeout: time.Second, err: "nothing happened"},
		{name: "answers too little", ws: true,
			reply:   func(_, _ int, echo []byte) ([]byte, bool) { return echo[:len(echo)-1], true },
			timeout: time.Second, err: "nothing happened"},
		{name: "stops answering",
			reply:   func(_, i int, echo []byte) ([]byte, bool) { return echo[:min(len(echo), max(0, 9-i))], true },
			timeout: time.Second, err: "nothing happened"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &liar{ws: c.ws, size: 3, reply: c.reply}
			config := Config{Kind: Echo, Addr: serveNet(t, l.serve), Protocol: "tcp", Conns: 2, Size: 3,
				Timeout: c.timeout, Messages: 1000}
			if c.ws {
				config.Protocol = "ws"
			}
			r, err := Run(t.Context(), config)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || r.Failed != c.failed || !strings.Contains(r.FirstError, c.firstError) ||
				r.Wrong > 0 && !c.wrong {
				t.Errorf("%v; %d failed (%q), %d wrong; want %d (%q)",
					err, r.Failed, r.FirstError, r.Wrong, c.failed, c.firstError)
			}
		})
	}
}

// TestHandshakeLies runs against servers to which no WebSocket can be opened.
func TestHandshakeLies(t *testing.T) {
	for _, c := range []struct {
		name, answer, want string
	}{
		{name: "silence", want: "no answer to the opening handshake"},
		{name: "refusal", answer: "HTTP/1.1 403 Forbidden\r\n\r\n", want: "status 403"},
		{name: "wrong key",
			answer: "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
			want:   "not the answer to our key"},
	} {
		addr := serveNet(t, func(nc net.Conn) {
			nc.Write([]byte(c.answer))
			nc.SetReadDeadline(time.Now().Add(time.Minute))
			for b := make([]byte, 1024); ; {
				if _, err := nc.Read(b); err != nil {
					return
				}
			}
		})
		_, err := Run(t.Context(), Config{Kind: Storm, Addr: addr, Protocol: "ws", Conns: 2, Timeout: 4 * short})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	ws := serveWS(t, nil)
	_, err := Run(t.Context(), Config{Kind: Echo, Addr: ws, Protocol: "ws", Conns: 1, Size: 1, Compress: true})
	if err == nil || !strings.Contains(err.Error(), errNotCompressed.Error()) {
		t.Errorf("compression was declined: %v", err)
	}
}

// TestOpenLoopHidesNoStall checks that a server that stalls once delays all messages that should
// have been sent meanwhile, not only the one that was.
func TestOpenLoopHidesNoStall(t *testing.T) {
	const rate, stall = 1000, 200 * time.Millisecond
	var stalls atomic.Bool
	l := &liar{size: 8, reply: func(_, _ int, echo []byte) ([]byte, bool) {
		if stalls.CompareAndSwap(true, false) {
			time.Sleep(stall)
		}
		return echo, true
	}}
	r, err := Run(t.Context(), Config{Kind: Echo, Addr: serveNet(t, l.serve), Protocol: "tcp", Conns: 1, Size: 8,
		Rate: rate, WarmUp: 150 * time.Millisecond, Duration: 600 * time.Millisecond,
		Begin: func() error { stalls.Store(true); return nil }})
	if err != nil || r.Failed != 0 || r.Wrong != 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	h, err := hdrhistogram.Decode([]byte(r.Latency.Hist))
	if err != nil {
		t.Fatal(err)
	}
	late := int64(0)
	for _, b := range h.Distribution() {
		if b.From >= int64(stall/2) {
			late += b.Count
		}
	}
	// Half of the 200 messages of the stall waited for at least half of it. A slow machine adds
	// more.
	if late < 90 || r.Missed < 90 || r.Latency.P99 < float64(stall/2)/1e3 {
		t.Errorf("%d of %d messages took over %v, %d were late, p99 %v us",
			late, r.Latency.Count, stall/2, r.Missed, r.Latency.P99)
	}
	if want := int64(r.Seconds * rate); r.Latency.Count < want-5 || r.Latency.Count > want+60 {
		t.Errorf("%d latencies, want about %d: each message has one", r.Latency.Count, want)
	}
}

// TestOpenLoopCountsWhatIsNeverAnswered runs against a server that stops answering.
func TestOpenLoopCountsWhatIsNeverAnswered(t *testing.T) {
	stop, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	l := &liar{size: 8, reply: func(_, i int, echo []byte) ([]byte, bool) {
		if i == 50 {
			<-stop.Done()
		}
		return echo, true
	}}
	r, err := Run(t.Context(), Config{Kind: Echo, Addr: serveNet(t, l.serve), Protocol: "tcp", Conns: 1, Size: 8,
		Rate: 1000, Duration: 300 * time.Millisecond})
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages > 50 || r.Latency.Count < 250 || r.Missed < 200 || r.Latency.P50 < 1e5 {
		t.Errorf("%d messages, %d latencies, %d missed, p50 %v us",
			r.Messages, r.Latency.Count, r.Missed, r.Latency.P50)
	}
}

// TestBroadcastGoesOn checks that broadcasts do not wait for a receiver that is gone, and that a
// connection that gets messages twice is noticed, even if it is the one that sends.
func TestBroadcastGoesOn(t *testing.T) {
	const receivers, begin, rounds = 3, 5, 20 // the lie begins with message 5
	for _, c := range []struct {
		name       string
		lie        func(l *lobby, sender, receiver int, echo []byte)
		failed     int
		firstError string
		wrong      bool
	}{
		{name: "a receiver is gone", lie: func(l *lobby, _, receiver int, _ []byte) { l.hangUp(receiver) },
			failed: 1, firstError: "closed by peer"},
		{name: "a receiver gets all twice",
			lie:    func(l *lobby, _, receiver int, echo []byte) { l.repeat(receiver, echo) },
			failed: 1, firstError: "more replies than messages", wrong: true},
		{name: "the sender gets all twice",
			lie:   func(l *lobby, sender, _ int, echo []byte) { l.repeat(sender, echo) },
			wrong: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lobby := newLobby(receivers + 1)
			l := &liar{size: 4, begun: lobby.join, reply: func(conn, i int, echo []byte) ([]byte, bool) {
				if !lobby.waitUntilFull(t.Context()) {
					return nil, false
				}
				if i >= begin {
					c.lie(lobby, conn, (conn+1)%(receivers+1), echo)
				}
				lobby.send(echo)
				return nil, true
			}}
			s, err := NewSession(Config{Addr: serveNet(t, l.serve), Protocol: "tcp", Conns: receivers, Size: 4})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			r := broadcastUntil(t, s, receivers*rounds)
			if r.Failed != c.failed || !strings.Contains(r.FirstError, c.firstError) || (r.Wrong > 0) != c.wrong {
				t.Errorf("%d messages, %d wrong, %d failed (%s)", r.Messages, r.Wrong, r.Failed, r.FirstError)
			}
		})
	}
}

// broadcastUntil opens all connections and broadcasts until that many messages have arrived.
func broadcastUntil(t *testing.T, s *Session, messages uint64) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Open(ctx, s.cfg.Conns); err != nil {
		t.Fatal(err)
	}
	before, err := s.read(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.broadcast(ctx, false); err != nil {
		t.Fatal(err)
	}
	for n := uint64(0); n < messages; {
		if n, err = s.messages(); err == nil {
			err = s.rest(ctx, time.Millisecond)
		}
		if err != nil {
			t.Fatalf("after %d of %d messages: %v%s", n, messages, err, s.state())
		}
	}
	r, err := s.since(ctx, before)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestEchoOnceGoesOn checks that EchoOnce does not wait for a connection that is closed.
func TestEchoOnceGoesOn(t *testing.T) {
	l := &liar{size: 4, reply: func(conn, _ int, echo []byte) ([]byte, bool) {
		if conn == 1 {
			return nil, false
		}
		return echo, true
	}}
	s, err := NewSession(Config{Addr: serveNet(t, l.serve), Protocol: "tcp", Conns: 3, Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Open(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, err := s.EchoOnce(t.Context()); err != nil || r.Messages != 2 || s.Failed() != 1 || s.Opened() != 2 {
			t.Errorf("%v; %d messages, %d failed, %d are open", err, r.Messages, s.Failed(), s.Opened())
		}
	}
}

func TestSentenceSaysWhatWentWrong(t *testing.T) {
	r := Result{Config: Config{Kind: Echo, Protocol: "ws"}, Failed: 3, Wrong: 4, Missed: 5, FirstError: "no luck"}
	s := r.Sentence()
	for _, want := range []string{"3 connections failed", "4 messages were wrong", "5 messages were late", "no luck"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q does not have %q", s, want)
		}
	}
	r = Result{Config: Config{Kind: Storm, Protocol: "ws", ServerPID: 1}, ServerCPU: 12}
	if s := r.Sentence(); !strings.Contains(s, fmt.Sprintf("%.2f us of CPU per connection", r.ServerCPU)) {
		t.Error(s)
	}
}
