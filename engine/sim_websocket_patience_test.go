package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
	"github.com/myriadnet/myriad/wsproto"
)

// What a WebSocket server's patience with its peers is, on the simulated clock: these tests are of
// package codec/websocket, and stand here because the simulator is the engine's.

// patient is a server on the simulated network with one client, whose handshake is done.
type patient struct {
	*simulated
	t      *testing.T
	p      *sim.Peer
	c      *websocket.Conn
	reason error
	got    []byte // by the client
}

func newPatient(t *testing.T, server *websocket.Server) *patient {
	t.Helper()
	x := &patient{t: t}
	server.Open = func(c *websocket.Conn) { x.c = c }
	server.Close = func(_ *websocket.Conn, err error) { x.reason = err }
	x.simulated = onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, HighWater: 1 << 20}, server.Accept)
	x.p = x.net.Dial(x.ln.Addr())
	x.p.Send([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"))
	if !x.until(t, time.Minute, func() bool { x.read(); return bytes.HasSuffix(x.got, []byte("\r\n\r\n")) }) ||
		x.c == nil {
		t.Fatalf("no handshake: %q", x.got)
	}
	x.got = nil
	return x
}

func (x *patient) read() { x.got = append(x.got, x.p.Recv(1<<20)...) }

// send sends all of b, for which the server must take it.
func (x *patient) send(b []byte) {
	x.t.Helper()
	x.until(x.t, time.Minute, func() bool {
		x.read()
		b = b[x.p.Send(b):]
		return len(b) == 0 || x.reason != nil
	})
}

// pass lets time pass, and reports whether the connection is still open.
func (x *patient) pass(d time.Duration) bool {
	x.t.Helper()
	passed := false
	x.c.Handle().Post(func(c *websocket.Conn) { c.EngineConn().AfterFunc(d, func() { passed = true }) })
	x.until(x.t, 2*d+time.Minute, func() bool { x.read(); return passed || x.reason != nil })
	return x.reason == nil
}

// frames are what the client got since the last call.
func (x *patient) frames() (all []string) {
	x.t.Helper()
	x.read()
	for b := x.got; len(b) > 0; {
		h, n, err := wsproto.ParseHeader(b)
		if err != nil || n == 0 || len(b)-n < int(h.Length) {
			break
		}
		p := string(b[n : n+int(h.Length)])
		if h.Opcode == wsproto.Close {
			code, _, _ := wsproto.ParseClose([]byte(p))
			p = fmt.Sprint(int(code))
		}
		all = append(all, fmt.Sprint(h.Opcode, " ", p))
		b = b[n+int(h.Length):]
		x.got = b
	}
	return all
}

func masked(op wsproto.Opcode, payload string) []byte {
	return wsproto.AppendMasked(nil, op, 0x01020304, []byte(payload))
}

// TestUnfinishedMessageMustGrow: a peer that has begun something and does not go on with it is
// refused; one that is only slow, or that we do not read from, is not.
func TestUnfinishedMessageMustGrow(t *testing.T) {
	const timeout = 30 * time.Second
	long := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: 1 << 20})
	part := wsproto.AppendHeader(nil, wsproto.Header{Opcode: wsproto.Binary, Masked: true, Length: 5})
	for _, test := range []struct {
		name   string
		begin  []byte
		more   []byte // sent every
		every  time.Duration
		server *websocket.Server
		lives  bool
	}{
		{"message that stops", append(long, 1, 2, 3), nil, time.Second,
			&websocket.Server{Limits: websocket.Limits{IdleTimeout: -1}}, false},
		{"message that trickles", long, []byte{1}, time.Second, &websocket.Server{}, false},
		{"half a header", long[:5], nil, time.Second, &websocket.Server{Limits: websocket.Limits{IdleTimeout: -1}},
			false},
		{"half a ping", masked(wsproto.Ping, "hello")[:8], nil, time.Second,
			&websocket.Server{Limits: websocket.Limits{IdleTimeout: -1}}, false},
		{"fragments without an end", append(part, "hello"...), masked(wsproto.Ping, ""), time.Second,
			&websocket.Server{}, false},
		{"message that grows slowly", long, make([]byte, 5<<10), 25 * time.Second, &websocket.Server{}, true},
		{"pings in two halves, always", masked(wsproto.Ping, "hello")[:4],
			append(masked(wsproto.Ping, "hello")[4:], masked(wsproto.Ping, "hello")[:4]...),
			time.Second, &websocket.Server{}, true},
		{"messages in two halves, always", masked(wsproto.Text, "hello")[:4],
			append(masked(wsproto.Text, "hello")[4:], masked(wsproto.Text, "hello")[:4]...),
			time.Second, &websocket.Server{}, true},
		{"fragmented messages, always", append(part, "hello"...),
			append(masked(wsproto.Continuation, "x"), append(part, "hello"...)...),
			time.Second, &websocket.Server{}, true},
		{"whole messages", nil, masked(wsproto.Text, "hello"), 50 * time.Second, &websocket.Server{}, true},
		{"no limit", long, []byte{1}, time.Second, &websocket.Server{Limits: websocket.Limits{ProgressTimeout: -1}},
			true},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newPatient(t, test.server)
			begin := x.net.Now()
			x.send(test.begin)
			for x.net.Now()-begin < 10*timeout && x.pass(test.every) {
				x.send(test.more)
			}
			if lives := x.reason == nil; lives != test.lives {
				t.Fatalf("after %v: %v", x.net.Now()-begin, x.reason)
			} else if lives {
				return
			}
			var p *wsproto.ProtocolError
			if took := x.net.Now() - begin; took < timeout || took > 2*timeout+2*time.Second ||
				!errors.As(x.reason, &p) || p.Code != wsproto.PolicyViolation {
				t.Errorf("after %v: %v", took, x.reason)
			}
			if f := x.frames(); len(f) == 0 || f[len(f)-1] != "close 1008" {
				t.Errorf("the client got %q", f)
			}
		})
	}
}

// TestUnfinishedMessageIsNotBlamedOnThePeer that we do not read from.
func TestUnfinishedMessageIsNotBlamedOnThePeer(t *testing.T) {
	x := newPatient(t, &websocket.Server{})
	x.send(masked(wsproto.Text, strings.Repeat("x", 10_000))[:5000])
	x.pass(time.Second)
	x.InTurn(0, x.c.EngineConn().PauseRead)
	if !x.pass(10 * time.Minute) {
		t.Fatalf("closed while paused: %v", x.reason)
	}
	x.InTurn(0, x.c.EngineConn().ResumeRead)
	if x.pass(time.Minute + 2*time.Second) {
		t.Fatal("not closed afterwards")
	}
}

// TestSilentPeerIsPingedAndThenClosedByThePongTimeout; one that speaks after the ping has its idle
// time again.
func TestSilentPeerIsPingedAndThenClosedByThePongTimeout(t *testing.T) {
	x := newPatient(t, &websocket.Server{Limits: websocket.Limits{IdleTimeout: time.Minute,
		PongTimeout: 5 * time.Second}})
	for range 3 {
		if !x.pass(62 * time.Second) {
			t.Fatalf("closed before the pong timeout: %v", x.reason)
		}
		if f := fmt.Sprint(x.frames()); f != "[ping ]" {
			t.Fatalf("the client got %s", f)
		}
		x.send(masked(wsproto.Pong, ""))
		if !x.pass(50*time.Second) || len(x.frames()) > 0 {
			t.Fatalf("the idle time is not what it was: %v", x.reason)
		}
		x.send(masked(wsproto.Text, "hello"))
	}
	begin := x.net.Now()
	if x.pass(70*time.Second) || !errors.Is(x.reason, engine.ErrIdleTimeout) || x.net.Now()-begin < 65*time.Second {
		t.Fatalf("after %v: %v", x.net.Now()-begin, x.reason)
	}
}

// TestControlFramesAreLimited: a thousand at once, a hundred a second after that, by default.
func TestControlFramesAreLimited(t *testing.T) {
	pings := func(n int) []byte { return bytes.Repeat(masked(wsproto.Ping, "x"), n) }
	for _, test := range []struct {
		name         string
		server       *websocket.Server
		first, later int // later: each second, for five minutes
		lives        bool
	}{
		{"as many as are allowed", &websocket.Server{}, 1000, 99, true},
		{"one too many at once", &websocket.Server{}, 1001, 0, false},
		{"too many in the long run", &websocket.Server{}, 0, 150, false},
		{"a lower limit", &websocket.Server{Limits: websocket.Limits{ControlRate: 1}}, 11, 0, false},
		{"a lower limit, kept", &websocket.Server{Limits: websocket.Limits{ControlRate: 1}}, 10, 1, true},
		{"no limit", &websocket.Server{Limits: websocket.Limits{ControlRate: -1}}, 20_000, 1000, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newPatient(t, test.server)
			x.send(pings(test.first))
			for range 300 {
				if !x.pass(time.Second) {
					break
				}
				x.send(pings(test.later))
			}
			var p *wsproto.ProtocolError
			switch lives := x.reason == nil; {
			case lives != test.lives:
				t.Fatal(x.reason)
			case !lives && (!errors.As(x.reason, &p) || p.Code != wsproto.PolicyViolation):
				t.Error(x.reason)
			case !lives:
				if f := x.frames(); f[len(f)-1] != "close 1008" {
					t.Errorf("the last frame is %q", f[len(f)-1])
				}
			}
		})
	}
	// After any time of rest the bucket is empty again: the word that it is kept in wraps around
	// every five days.
	x := newPatient(t, &websocket.Server{Limits: websocket.Limits{IdleTimeout: -1}})
	for i := range 30 {
		x.send(pings(1000))
		if !x.pass(4*time.Hour + time.Duration(i)*time.Minute) {
			t.Fatalf("round %d: %v", i, x.reason)
		}
		x.frames()
		x.send(masked(wsproto.Text, ""))
	}
}

// TestPongsAreCoalescedToTheLatest while the peer takes nothing; they grow no queue, and none is
// lost that is owed.
func TestPongsAreCoalescedToTheLatest(t *testing.T) {
	x := newPatient(t, &websocket.Server{Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
		c.Send(websocket.Binary, make([]byte, 200_000))
	}})
	x.send(masked(wsproto.Ping, "first"))
	x.send(masked(wsproto.Text, ""))
	queued := func() bool { return x.c.EngineConn().Pressure() == engine.Queued }
	if !x.until(t, time.Minute, queued) {
		t.Fatal("nothing is queued")
	}
	before := x.c.EngineConn().Outbound()
	for i := range 500 {
		x.send(masked(wsproto.Ping, fmt.Sprint(i)))
	}
	x.until(t, 2*time.Second, func() bool { return x.reason != nil })
	if n := x.c.EngineConn().Outbound(); n > before {
		t.Fatalf("the queue has grown from %d to %d bytes", before, n)
	}
	x.until(t, 10*time.Second, func() bool { x.read(); return len(x.got) > 200_010 })
	x.pass(time.Second)
	f := x.frames()
	if len(f) != 3 || f[0] != "pong first" || len(f[1]) < 200_000 || f[2] != "pong 499" {
		for i := range f {
			f[i] = f[i][:min(len(f[i]), 20)]
		}
		t.Fatalf("the client got %q", f)
	}
}
