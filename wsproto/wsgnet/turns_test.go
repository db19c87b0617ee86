package wsgnet

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// sharing is a connection on a loop that has others.
type sharing struct {
	*looped
	shared *posted
}

func (s *sharing) EventLoop() gnet.EventLoop { return s.shared }

// crowd returns n connections on one loop, each with requests whose answers are compressed, and
// what they are served with: the number of the connection, for each answer.
func crowd(t *testing.T, n, requests int) (*posted, []*sharing, *[]int) {
	served := new([]int)
	s := &Server{
		Limits:      wsproto.Limits{IdleTimeout: -1, ProgressTimeout: -1, HandshakeTimeout: -1, CloseTimeout: -1},
		Compression: &deflate.Compression{},
		Message: func(c *Conn, _ wsproto.Opcode, data []byte) {
			*served = append(*served, int(data[0]))
			c.spend(turnsShare) // as if the answer took that long to compress
			c.worked = maxShare
		},
	}
	loop := &posted{tasks: make(chan gnet.Runnable, 2*n)}
	all := make([]*sharing, n)
	p := wsproto.Config{Role: wsproto.Client}
	sender := wsproto.NewSender(&p, nil)
	for i := range all {
		all[i] = &sharing{&looped{broken: broken{server: s}}, loop}
		s.OnOpen(all[i])
		all[i].in = []byte(upgrade[:len(upgrade)-2] + offer)
		s.OnTraffic(all[i])
		for range requests {
			all[i].in = sender.Append(all[i].in, wsproto.Binary, []byte{byte(i)})
		}
	}
	return loop, all, served
}

// TestPeersDoNotHoldTheLoopTogether: each of many connections had a turn of its own at once, before
// the loop looked at the others. Together they held it for seconds.
func TestPeersDoNotHoldTheLoopTogether(t *testing.T) {
	const n, requests = 10, 5
	loop, all, served := crowd(t, n, requests)
	for _, l := range all {
		l.server.OnTraffic(l)
	}
	for len(*served) < n*requests {
		for _, l := range all { // nothing has arrived since
			l.server.OnTraffic(l)
		}
		if posted := len(loop.tasks); posted > 1 {
			t.Fatalf("%d turns are posted, and the loop looks at nobody between them", posted)
		}
		before := len(*served)
		if before == n*requests {
			break // the last one was alone
		}
		loop.run(t)
		if got := len(*served) - before; got != 1 {
			t.Fatalf("%d messages in a turn", got)
		}
	}
	for i, got := range *served {
		if got != i%n {
			t.Fatalf("served in the order %v", *served)
		}
	}
	finish(t, loop, all)
}

// finish runs the turns that are left, and ends all connections.
func finish(t *testing.T, loop *posted, all []*sharing) {
	t.Helper()
	s := all[0].server
	for turns := s.turns[loop]; turns.posted; {
		loop.run(t)
	}
	for _, l := range all {
		if c := l.ctx.(*Conn); c.state == open && (len(l.in) > 0 || c.queued) {
			t.Errorf("%d bytes are left, queued: %v", len(l.in), c.queued)
		}
		if c := l.ctx.(*Conn); c.state != ended {
			s.OnClose(l, nil)
		}
	}
	if len(s.turns) > 0 {
		t.Error("turns of a loop without connections")
	}
}

// TestCallbacksTakeTheTimeOfTurns checks that it is not only inflating and compressing that counts.
func TestCallbacksTakeTheTimeOfTurns(t *testing.T) {
	loop, all, served := crowd(t, 3, 2)
	s := all[0].server
	for _, l := range all {
		s.OnTraffic(l)
	}
	s.Message = func(c *Conn, _ wsproto.Opcode, data []byte) {
		*served = append(*served, int(data[0]))
		time.Sleep(turnsShare)
	}
	*served = nil
	if loop.run(t); len(*served) != 1 {
		t.Errorf("served %v at once", *served)
	}
	finish(t, loop, all)
}

// TestClosedConnectionsHaveNoTurn checks that those behind them have theirs.
func TestClosedConnectionsHaveNoTurn(t *testing.T) {
	loop, all, served := crowd(t, 6, 2)
	for _, l := range all {
		l.server.OnTraffic(l)
	}
	for _, i := range []int{0, 1, 3} {
		all[i].server.OnClose(all[i], errGone)
	}
	all[5].ctx.(*Conn).end(nil)
	*served = nil
	finish(t, loop, all)
	if want := []int{2, 4}; !slices.Equal(*served, want) {
		t.Errorf("served %v, want %v", *served, want)
	}
}

// TestPanicLeavesTheOthersTheirTurns: package engine/gnet goes on behind a panic.
func TestPanicLeavesTheOthersTheirTurns(t *testing.T) {
	loop, all, served := crowd(t, 3, 2)
	s := all[0].server
	message := s.Message
	for _, l := range all {
		s.OnTraffic(l)
	}
	s.Message = func(c *Conn, op wsproto.Opcode, data []byte) {
		if data[0] == 0 {
			panic("a callback")
		}
		message(c, op, data)
	}
	*served = nil
	func() {
		defer func() { recover() }()
		(<-loop.tasks).Run(context.Background())
	}()
	s.OnClose(all[0], errGone)
	finish(t, loop, all)
	if want := []int{1, 2}; !slices.Equal(*served, want) {
		t.Errorf("served %v, want %v", *served, want)
	}
}

// stopped is the loop of an engine that has ended.
type stopped struct {
	gnet.EventLoop
	asked chan bool
}

func (s stopped) Execute(context.Context, gnet.Runnable) error {
	s.asked <- true
	return errors.New("stopped")
}

// TestTurnsEndWithTheEngine checks that nothing tries again.
func TestTurnsEndWithTheEngine(t *testing.T) {
	loop := stopped{asked: make(chan bool)}
	turns := &turns{loop: loop}
	turns.add(&Conn{})
	turns.add(&Conn{})
	<-loop.asked
	select {
	case <-loop.asked:
		t.Error("asked again")
	case <-time.After(10 * time.Millisecond):
	}
}

// TestReadsHaveAShareOfWhatTheyBring: while others wait, a read was served as if none did, however
// little it brought.
func TestReadsHaveAShareOfWhatTheyBring(t *testing.T) {
	loop, all, _ := crowd(t, 3, 2)
	for _, l := range all[:2] {
		l.server.OnTraffic(l)
	}
	c := all[2].ctx.(*Conn)
	for _, tt := range []struct {
		name        string
		left, bytes int
		want        time.Duration
	}{
		{name: "a small message", bytes: 100, want: minReadShare},
		{name: "a whole read", bytes: fullRead, want: minReadShare + readShare},
		{name: "half a read", bytes: fullRead, left: fullRead / 2, want: minReadShare + readShare/2},
	} {
		in := all[2].in
		all[2].in, c.left = make([]byte, tt.bytes), tt.left
		if c.beginRead(); c.share != tt.want || c.worked != 0 {
			t.Errorf("%s: %v of %v are used", tt.name, c.worked, c.share)
		}
		all[2].in = in
	}
	all[2].server.OnTraffic(all[2])
	finish(t, loop, all)
}

// TestRoundHasALimit: each of 40 reads was served for 4 ms, and the loop looked at nobody else for
// 130 ms at the median.
func TestRoundHasALimit(t *testing.T) {
	const n, each = 40, readShare
	loop, all, served := crowd(t, n, 2)
	s := all[0].server
	s.Message = func(c *Conn, _ wsproto.Opcode, data []byte) {
		*served = append(*served, int(data[0]))
		c.spend(each)
	}
	const most = int((roundShare+turnsShare+maxShare)/each) + 1
	for round := 0; len(*served) < 2*n; round++ {
		if round > 2*n {
			t.Fatalf("%d messages of %d are served", len(*served), 2*n)
		}
		before := len(*served)
		for _, l := range all {
			s.OnTraffic(l)
		}
		if len(*served) < 2*n {
			loop.run(t)
		}
		if got := len(*served) - before; got > most {
			t.Fatalf("%d messages in a round", got)
		}
	}
	finish(t, loop, all)
}

// TestRoundHasALimitForHandshakes: what came together with a handshake was served for 5 ms.
func TestRoundHasALimitForHandshakes(t *testing.T) {
	loop, all, served := crowd(t, 2, 1)
	s := all[0].server
	s.turns[loop].spent = roundShare
	late := &sharing{&looped{broken: broken{server: s}}, loop}
	s.OnOpen(late)
	late.in = append([]byte(upgrade[:len(upgrade)-2]+offer), all[1].in...)
	if s.OnTraffic(late); len(*served) > 0 || late.ctx.(*Conn).state != open {
		t.Errorf("state %d, served %v", late.ctx.(*Conn).state, *served)
	}
	loop.run(t)
	if len(*served) != 1 {
		t.Errorf("served %v in its turn", *served)
	}
	for _, l := range all {
		s.OnTraffic(l)
	}
	finish(t, loop, append(all, late))
}

// TestRoundHasALimitForWhatWaits: those that waited for their turn were served beyond it.
func TestRoundHasALimitForWhatWaits(t *testing.T) {
	loop, all, served := crowd(t, 2, 2)
	s := all[0].server
	for _, l := range all {
		s.OnTraffic(l)
	}
	*served = nil
	turns := s.turns[loop]
	all[1].in = append(all[1].in, make([]byte, 3<<20)...) // incomplete headers behind the message
	turns.spent = aheadRound
	s.OnTraffic(all[1])
	if len(*served) > 0 {
		t.Errorf("%v are served", *served)
	}
	turns.spent = 0
	all[1].in = append(all[1].in, make([]byte, fullRead)...)
	s.OnTraffic(all[1])
	if len(*served) == 0 {
		t.Error("a large backlog is not served")
	}
	for _, l := range all {
		s.OnClose(l, errGone)
	}
}

// TestPauseBetweenTurns: gnet runs what is posted until nothing is left, before it looks at
// connections. While others posted steadily, one turn came after another, and nobody was read from.
func TestPauseBetweenTurns(t *testing.T) {
	loop, all, _ := crowd(t, 3, 2)
	for _, l := range all {
		l.server.OnTraffic(l)
	}
	turns := all[0].server.turns[loop]
	(<-loop.tasks).Run(context.Background()) // it posts the next turn at once: the loop has looked
	if turns.pause != nil {
		t.Error("a pause although the loop looks at its connections")
	}
	(<-loop.tasks).Run(context.Background())
	if !turns.posted || turns.pause == nil {
		t.Error("no pause although the loop does not look at its connections")
	}
	finish(t, loop, all)
	if turns.pause.Stop() {
		t.Error("the pause goes on behind the last connection")
	}
}

// TestPeersThatHaveSentNothingMoreDoNotWait: a message whose answer took 100 us to compress made
// the next one wait for the turns of all others.
func TestPeersThatHaveSentNothingMoreDoNotWait(t *testing.T) {
	loop, all, served := crowd(t, 3, 1)
	for _, l := range all[:2] { // they have more
		l.in = append(l.in, l.in...)
		l.server.OnTraffic(l)
	}
	l := all[2]
	message := l.in[:len(l.in):len(l.in)]
	for range 3 {
		*served = nil
		l.in = append([]byte(nil), message...)
		if l.server.OnTraffic(l); len(*served) != 1 {
			t.Fatal("it waits for its turn")
		}
	}
	finish(t, loop, all)
}
