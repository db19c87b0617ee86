package wsgnet

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// posted is a loop that keeps what is posted to it.
type posted struct {
	gnet.EventLoop
	tasks chan gnet.Runnable
}

func (p *posted) Execute(_ context.Context, r gnet.Runnable) error {
	p.tasks <- r
	return nil
}

// run runs the next task.
func (p *posted) run(t *testing.T) {
	t.Helper()
	select {
	case r := <-p.tasks:
		r.Run(context.Background())
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was posted")
	}
}

// looped is a connection of gnet on such a loop.
type looped struct {
	broken
	loop    posted
	out     bytes.Buffer
	waiting int // bytes that the peer has not taken
	ends    bool
	hides   bool // has input for OnTraffic only, as package engine/gnet does
}

func (l *looped) EventLoop() gnet.EventLoop { return &l.loop }
func (l *looped) InboundBuffered() int {
	if l.hides {
		return 0
	}
	return len(l.in)
}
func (l *looped) Wake(gnet.AsyncCallback) error {
	hides := l.hides
	l.hides = false
	l.server.OnTraffic(l)
	l.hides = hides
	return nil
}
func (l *looped) Peek(n int) ([]byte, error) {
	if n < 0 {
		n = len(l.in)
	}
	return l.in[:n], nil
}
func (l *looped) Write(b []byte) (int, error) { return l.out.Write(b) }
func (l *looped) Fd() int                     { return -1 }
func (l *looped) Discard(n int) (int, error) {
	if n < 0 {
		n = len(l.in)
	}
	return l.broken.Discard(n)
}
func (l *looped) OutboundBuffered() int { return l.waiting }
func (l *looped) Close() error {
	l.ends = true
	return nil
}

const offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"

// bombs returns n frames of 1 MiB when they are inflated.
func bombs(n int) (b []byte) {
	p := wsproto.Config{Role: wsproto.Client, Compressor: deflate.New(deflate.Compression{})}
	s := wsproto.NewSender(&p, &wsproto.Deflate{ClientNoContextTakeover: true, ServerNoContextTakeover: true})
	for range n {
		b = s.Append(b, wsproto.Binary, make([]byte, 1<<20))
	}
	return b
}

func inflating(t *testing.T, received *int) *looped {
	return looping(t, &Server{
		Compression: &deflate.Compression{},
		Message:     func(_ *Conn, _ wsproto.Opcode, data []byte) { *received += len(data) },
	})
}

func looping(t *testing.T, s *Server) *looped {
	s.Limits = wsproto.Limits{IdleTimeout: -1, ProgressTimeout: -1, HandshakeTimeout: -1, CloseTimeout: -1}
	l := &looped{broken: broken{server: s}, loop: posted{tasks: make(chan gnet.Runnable, 10)}}
	s.OnOpen(l)
	l.in = []byte(upgrade[:len(upgrade)-2] + offer)
	s.OnTraffic(l)
	if c := l.ctx.(*Conn); !c.deflates {
		t.Fatalf("no compression: %s", l.out.Bytes())
	}
	return l
}

// TestBombsDoNotHoldTheLoop: what one read of gnet had was inflated at once, and after a FIN all
// that had arrived: for seconds.
func TestBombsDoNotHoldTheLoop(t *testing.T) {
	const n = 256
	var received int
	l := inflating(t, &received)
	all := bombs(n)
	half := len(all)/2 + 1 // within a frame
	l.in = append(l.in, all[:half]...)
	l.server.OnTraffic(l)
	if received > n/2<<20*3/4 {
		t.Errorf("%d MiB were inflated at once", received>>20)
	}
	before := received
	l.in = append(l.in, all[half:]...)
	l.server.OnTraffic(l)
	if received != before {
		t.Errorf("%d MiB were inflated by a read in the same turn", (received-before)>>20)
	}
	for turns := 0; received < n<<20; turns++ {
		if turns == 10*n {
			t.Fatalf("got %d MiB of %d", received>>20, n)
		}
		before = received
		l.loop.run(t)
		if received-before > n/4<<20 {
			t.Errorf("%d MiB were inflated at once", (received-before)>>20)
		}
	}
	if c := l.ctx.(*Conn); c.state != open || len(l.in) > 0 || c.resuming {
		t.Errorf("state %d, %d bytes left, resuming: %v", c.state, len(l.in), c.resuming)
	}
}

// TestInflatingGoesOnWithEngineGnet: there, a task does not find the input that waits. Messages
// were served when the peer sent something more, and not before.
func TestInflatingGoesOnWithEngineGnet(t *testing.T) {
	for _, n := range []int{64, 256} {
		var received int
		l := inflating(t, &received)
		l.in = append(l.in, bombs(n)...)
		l.server.OnTraffic(l)
		l.hides = true
		for turns := 0; received < n<<20; turns++ {
			if turns == 10*n {
				t.Fatalf("got %d MiB of %d", received>>20, n)
			}
			l.loop.run(t)
		}
	}
}

// TestBacklogHasALimit: gnet goes on reading from a peer that sends more than can be inflated.
func TestBacklogHasALimit(t *testing.T) {
	var received int
	l := inflating(t, &received)
	var reason error
	l.server.Close = func(_ *Conn, err error) { reason = err }
	const n = 60
	all := bombs(n)
	c := l.ctx.(*Conn)
	reads := 0
	for ; c.state == open && reads < 2*maxBacklog/len(all); reads++ {
		l.in = append(l.in, all...)
		l.server.OnTraffic(l)
	}
	if c.state != lingering || len(l.in) > 0 {
		t.Fatalf("state %d, %d bytes left after %d reads", c.state, len(l.in), reads)
	}
	if sent := reads * n << 20; received > sent/4 {
		t.Errorf("%d MiB of %d were inflated", received>>20, sent>>20)
	}
	l.loop.run(t) // what was posted before
	l.server.OnClose(l, nil)
	var pe *wsproto.ProtocolError
	if !errors.As(reason, &pe) || pe.Code != wsproto.PolicyViolation {
		t.Errorf("closed by %v", reason)
	}
}

// TestCompressingDoesNotHoldTheLoop: with context takeover each echo takes 50 to 500 us to
// compress, and all that one read of gnet had was answered at once.
func TestCompressingDoesNotHoldTheLoop(t *testing.T) {
	const n = 2000
	received := 0
	l := looping(t, &Server{
		Compression: &deflate.Compression{Level: 6, ServerTakeover: true},
		Message: func(c *Conn, op wsproto.Opcode, data []byte) {
			received++
			c.Send(op, data)
		},
	})
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte('a' + rng.IntN(8))
		}
		l.in = wsproto.AppendMasked(l.in, wsproto.Text, 7, b)
	}
	for turns := 0; received < n; turns++ {
		before := received
		if turns == 0 {
			l.server.OnTraffic(l)
		} else {
			l.loop.run(t)
		}
		if got := received - before; got > n/10 {
			t.Fatalf("%d messages were answered at once", got)
		}
	}
}
