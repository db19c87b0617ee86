package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// blockedLoop returns the handle of a connection whose loop does nothing until the test ends.
func blockedLoop(t *testing.T, c engine.Config) (*engine.Engine, engine.Handle) {
	t.Helper()
	c.Loops = 1
	handles, blocked, free := make(chan engine.Handle, 1), make(chan bool), make(chan bool)
	s := serve(t, c, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return echoOn(c)
	})
	s.dial(t)
	h := receive(t, "connection", handles)
	h.Post(func(*engine.Conn) {
		blocked <- true
		<-free
	})
	receive(t, "blocked loop", blocked)
	t.Cleanup(func() { close(free) })
	return s.Engine, h
}

// TestSmallTasksCountWithTheirCost: MaxPosted limits the memory of what waits for a blocked loop,
// however small the messages are.
func TestSmallTasksCountWithTheirCost(t *testing.T) {
	const most = 8 << 20
	for _, c := range []struct {
		name string
		post func(engine.Handle) error
	}{
		{"empty Send", func(h engine.Handle) error { return h.Send(nil) }},
		{"Send of a byte", func(h engine.Handle) error { return h.Send([]byte{1}) }},
		{"PostBytes of a byte", func(h engine.Handle) error { return h.PostBytes(1, []byte{1}) }},
		{"Send of 300 bytes", func(h engine.Handle) error { return h.Send(make([]byte, 300)) }},
		{"Broadcast to one", func(h engine.Handle) error {
			return engine.Broadcast(slices.Values([]engine.Handle{h}), make([]byte, 100), engine.SlowWait)
		}},
		{"Broadcast of 100,000 bytes", func(h engine.Handle) error {
			return engine.Broadcast(slices.Values([]engine.Handle{h}), make([]byte, 100_000), engine.SlowWait)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := blockedLoop(t, engine.Config{MaxPosted: most})
			before, n := int64(heap()), 0
			for c.post(h) == nil {
				if n++; n > 100_000 {
					t.Fatal("there is no limit")
				}
			}
			if err := c.post(h); !errors.Is(err, engine.ErrBusy) {
				t.Errorf("error %v, want ErrBusy", err)
			}
			if grown := int64(heap()) - before; grown > most*11/10 || grown < most/3 {
				t.Errorf("%d times posted take %d bytes, the limit is %d", n, grown, most)
			}
		})
	}
}

// TestFunctionsReachABusyLoop: they count, and are not refused.
func TestFunctionsReachABusyLoop(t *testing.T) {
	_, h := blockedLoop(t, engine.Config{MaxPosted: 1000})
	for i := range 100 {
		if err := h.Post(func(*engine.Conn) {}); err != nil {
			t.Fatalf("Post %d: %v", i, err)
		}
	}
	if err := h.Send([]byte{1}); !errors.Is(err, engine.ErrBusy) {
		t.Errorf("Send behind 100 functions: %v", err)
	}
}

// stuck makes connections whose peers do not read, and returns their handles.
func stuck(t *testing.T, c engine.Config, n int) (*engine.Engine, []engine.Handle, chan error) {
	t.Helper()
	handles, reasons := make(chan engine.Handle, n), make(chan error, n)
	s := serve(t, c, func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return &proto{feed: func(b []byte) (int, error) { return len(b), nil },
			closed: func(err error) { reasons <- err }}
	})
	var all []engine.Handle
	for range n {
		s.dial(t)
		all = append(all, receive(t, "connection", handles))
	}
	return s.Engine, all, reasons
}

// shareUntil shares messages with a connection until its queue has so many bytes, or it is closed.
func shareUntil(t *testing.T, h engine.Handle, outbound int, next func() []byte, slow engine.SlowPolicy) {
	t.Helper()
	done := make(chan bool, 1)
	write := func(c *engine.Conn) {
		var err error
		for range 10_000 {
			if err = c.WriteShared(next(), slow); err != nil || c.Outbound() > outbound {
				break
			}
		}
		done <- err != nil || c.Outbound() > outbound
	}
	wrote := func() (over bool) {
		for {
			select {
			case over := <-done:
				return over
			case <-time.After(10 * time.Millisecond):
				if h.Post(func(*engine.Conn) {}) != nil { // it was closed before it wrote
					return true
				}
			}
		}
	}
	for h.Post(write) == nil && !wrote() {
	}
}

// TestTinySharedMessagesTakeWhatTheyAre: they are copied where a reference would take more memory.
func TestTinySharedMessagesTakeWhatTheyAre(t *testing.T) {
	const most = 8 << 20
	for _, size := range []int{2, 6, 90, 200} {
		eng, handles, _ := stuck(t, engine.Config{Loops: 1}, 1)
		before := int64(heap())
		shareUntil(t, handles[0], most, func() []byte { return make([]byte, size) }, engine.SlowWait)
		grown, counted := int64(heap())-before, int64(stats(t, eng).Buffered)
		if grown > 2*most {
			t.Errorf("%d bytes in messages of %d take %d", most, size, grown)
		}
		if counted < grown*9/10 || counted > grown*11/10+1<<20 {
			t.Errorf("messages of %d bytes: the heap has grown by %d, Stats says %d", size, grown, counted)
		}
		runtime.KeepAlive(handles)
	}
}

// TestSharedMessagesAreInTheBudget: messages that only slow readers keep alive count, once for all
// of them.
func TestSharedMessagesAreInTheBudget(t *testing.T) {
	const most, readers = 16 << 20, 10
	eng, handles, reasons := stuck(t, engine.Config{Loops: 1, MaxBuffered: most}, readers)
	for i := range 200 { // 12.5 MiB, that each of them has, but for what the kernel has taken
		if err := engine.Broadcast(slices.Values(handles), make([]byte, 64<<10), engine.SlowWait); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			stats(t, eng) // when it has run
		}
	}
	if n := stats(t, eng).Buffered; n > 14<<20 || n < 4<<20 {
		t.Errorf("12.5 MiB count as %d bytes", n)
	}
	for range 300 {
		engine.Broadcast(slices.Values(handles), make([]byte, 64<<10), engine.SlowWait)
		if n := stats(t, eng).Buffered; n > most+1<<20 {
			t.Fatalf("%d bytes are buffered", n)
		}
	}
	if err := receive(t, "end of a connection", reasons); !errors.Is(err, engine.ErrBufferLimit) {
		t.Errorf("reason %v", err)
	}
}

// TestDropOldestDoesNotScanTheQueue: behind a million messages that may not be dropped, a broadcast
// takes no longer than before.
func TestDropOldestDoesNotScanTheQueue(t *testing.T) {
	_, handles, _ := stuck(t, engine.Config{Loops: 1, MaxOutbound: 1 << 30}, 1)
	b := make([]byte, 100)
	shareUntil(t, handles[0], 30<<20, func() []byte { return b }, engine.SlowWait)
	took := make(chan time.Duration)
	handles[0].Post(func(c *engine.Conn) {
		c.WriteShared(b, engine.SlowDropOldest) // which looks at all of them
		begin := time.Now()
		for range 1000 {
			c.WriteShared(b, engine.SlowDropOldest)
		}
		took <- time.Since(begin)
	})
	if d := receive(t, "answer", took); d > 100*time.Millisecond { // a scan takes a few each time
		t.Errorf("1,000 messages took %v", d)
	}
}

// TestMixedPoliciesEndTheGrace: a peer whose queue was emptied by SlowDropOldest is not closed for
// being slow.
func TestMixedPoliciesEndTheGrace(t *testing.T) {
	const grace = time.Second
	s, conn, p, reason := slowConn(t, engine.Config{HighWater: 5000, SlowGrace: grace})
	s.InTurn(0, func() {
		for i := range 100 {
			conn.WriteShared(numbered(i), engine.SlowDropOldest)
		}
		conn.WriteShared(numbered(100), engine.SlowClose)
		conn.Write(nil)
	})
	s.InTurn(0, func() { // drops all but the last
		conn.SetWatermarks(150, 149)
		conn.WriteShared(numbered(101), engine.SlowDropOldest)
	})
	arrived(t, s, p)
	s.until(t, 3*grace, func() bool { _, ended := reason(); return ended })
	if err, ended := reason(); ended {
		t.Errorf("closed with %v, and its queue was empty", err)
	}
}

// TestSmallDatagramsAreBounded: MaxOutbound limits the memory of a socket's queue.
func TestSmallDatagramsAreBounded(t *testing.T) {
	for _, size := range []int{0, 1, 1000} {
		const most = 1 << 20
		var socket *engine.PacketConn
		s := onSimPackets(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxOutbound: most},
			func(p *engine.PacketConn) engine.PacketProtocol { socket = p; return noPackets{} })
		s.until(t, time.Second, func() bool { return socket != nil })
		s.InTurn(0, func() {
			engine.BlockPackets(socket)
			before, n := int64(heap()), 0
			to := engine.PacketAddr{AddrPort: netip.MustParseAddrPort("127.0.0.1:9")}
			for ; n < most && socket.WriteTo(make([]byte, size), to) == nil; n++ {
			}
			if grown := int64(heap()) - before; n == most || grown > 2*most {
				t.Errorf("%d datagrams of %d bytes take %d, the limit is %d", n, size, grown, most)
			}
		})
		s.Step()
		if n := s.StatsNow().Held; n < most*9/10 {
			t.Errorf("Stats says %d", n)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeptHandleKeepsLittle: not the buffers of an engine that has ended.
func TestKeptHandleKeepsLittle(t *testing.T) {
	const engines = 30
	var kept []engine.Handle
	before := int64(heap())
	for range engines {
		eng, err := engine.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		handles := make(chan engine.Handle, 1)
		ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
			handles <- c.Handle()
			return echoOn(c)
		})
		if err != nil {
			t.Fatal(err)
		}
		go eng.Run(context.Background())
		nc, err := net.Dial("tcp", ln.String())
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, receive(t, "connection", handles))
		nc.Close()
		eng.Close()
	}
	if n := (int64(heap()) - before) / engines; n > 16<<10 {
		t.Errorf("a Handle keeps %d bytes", n)
	}
	runtime.KeepAlive(kept)
}

// TestCallsForManyConnectionsStayInTheBudget: what connections came to hold in calls that were
// posted or due was looked at when the turn ended, and not before.
func TestCallsForManyConnectionsStayInTheBudget(t *testing.T) {
	const conns, each, most = 100, 1 << 20, 8 << 20
	for name, resume := range map[string]func([]engine.Handle){
		"Each": func(all []engine.Handle) { engine.Each(slices.Values(all), (*engine.Conn).ResumeRead) },
		"AfterFunc": func(all []engine.Handle) {
			engine.Each(slices.Values(all), func(c *engine.Conn) { c.AfterFunc(time.Millisecond, c.ResumeRead) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			handles, ended := make(chan engine.Handle, conns), make(chan bool, conns)
			held, peak := 0, 0 // on the loop
			s := serve(t, engine.Config{Loops: 1, MaxBuffered: most}, func(c *engine.Conn) engine.Protocol {
				return &budgeted{conn: c, sum: &held, peak: &peak, each: each,
					paused: func() { handles <- c.Handle() }, ended: func() { ended <- true }}
			})
			var all []engine.Handle
			for range conns {
				io.WriteString(s.dial(t), "x")
				all = append(all, receive(t, "connection", handles))
			}
			resume(all)
			for range conns - most/each {
				receive(t, "end of a connection", ended)
			}
			if s.Close(); peak > most+2*each {
				t.Errorf("%d bytes were held in a turn, the limit is %d", peak, most)
			}
		})
	}
}

// budgeted pauses when it is fed, and holds much when it is fed again.
type budgeted struct {
	conn          *engine.Conn
	each, held    int
	sum, peak     *int
	paused, ended func()
	again         bool
}

func (p *budgeted) Feed(b []byte) (int, error) {
	if !p.again {
		p.again = true
		p.conn.PauseRead()
		p.paused()
		return 0, nil
	}
	p.hold(p.each)
	return len(b), nil
}

func (p *budgeted) hold(n int) {
	p.conn.AddHeld(n)
	p.held += n
	*p.sum += n
	*p.peak = max(*p.peak, *p.sum)
}

func (p *budgeted) Held() int { return p.held }

func (p *budgeted) Closed(error) {
	p.hold(-p.held)
	p.ended()
}

// TestPanickingTasksAreCredited: functions that panic, one in each turn, counted for ever.
func TestPanickingTasksAreCredited(t *testing.T) {
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxPosted: 4000, Logger: quiet}, echoes)
	var h engine.Handle
	s.net.Dial(s.ln.Addr())
	if !s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 1 }) {
		t.Fatal("not accepted")
	}
	s.Post(0, func() { h = s.Conns(0)[0].Handle() })
	s.Step()
	for range 100 {
		s.Post(0, func() { panic("boom") })
		s.Step()
		if err := h.Send(nil); err != nil {
			t.Fatalf("Send when nothing waits: %v", err)
		}
		s.Post(0, func() { panic("boom") })
		s.Step()
	}
}

// laden holds what it was told to.
type laden struct {
	proto
	conn *engine.Conn
	held int
}

func (p *laden) Held() int { return p.held }

func (p *laden) hold(n int) {
	p.conn.AddHeld(n)
	p.held += n
}

func (p *laden) Closed(error) { p.hold(-p.held) }

// TestBudgetIsKeptByManyConnections: the loop looks for those that hold something behind thousands
// that hold nothing, and closes no more of them than a turn may have tasks.
func TestBudgetIsKeptByManyConnections(t *testing.T) {
	const idle, holders, each, most = 6000, 1000, 4 << 10, 64 << 10
	var all []*laden
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxBuffered: most, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			all = append(all, &laden{conn: c})
			return all[len(all)-1]
		})
	for len(all) < idle+holders {
		for range engine.AcceptTurn {
			s.net.Dial(s.ln.Addr())
		}
		s.Step()
	}
	for _, first := range []int{idle, 0} { // the second time where it has looked before
		s.InTurn(0, func() {
			for _, p := range all[first : first+holders] {
				p.hold(each)
			}
		})
		closed := func() uint64 { return s.StatsNow().Closed[engine.CauseLimit] }
		for turns := 0; turns < 20; turns++ {
			before := closed()
			s.Step()
			if n := closed() - before; n > 256 {
				t.Fatalf("%d connections were closed in a turn", n)
			}
		}
		if n := s.Buffered(); n > most {
			t.Fatalf("%d bytes are held, the limit is %d", n, most)
		}
		for _, p := range all[first : first+holders] {
			if !p.conn.Handle().Closed() {
				s.InTurn(0, p.conn.Abort)
			}
		}
		s.Step()
	}
}

// TestBudgetClosesWhoHoldsLongest of connections that hold the same.
func TestBudgetClosesWhoHoldsLongest(t *testing.T) {
	const conns, each = 8, 64 << 10
	var all []*laden
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, MaxBuffered: (conns - 1) * each, Logger: quiet},
		func(c *engine.Conn) engine.Protocol {
			all = append(all, &laden{conn: c, proto: proto{feed: func(b []byte) (int, error) { return len(b), nil }}})
			return all[len(all)-1]
		})
	var peers []*sim.Peer
	for range conns {
		peers = append(peers, s.net.Dial(s.ln.Addr()))
	}
	s.until(t, time.Second, func() bool { return len(all) == conns })
	timer := func() { all[0].conn.AfterFunc(time.Second, func() {}) } // or the clock stands
	s.InTurn(0, timer)
	s.until(t, 2*time.Second, func() bool { return s.net.Now() > time.Second })
	silent := all[conns/2]
	s.InTurn(0, func() {
		for _, p := range peers {
			if p.Local() != silent.conn.RemoteAddr() {
				p.Send([]byte("x"))
			}
		}
	})
	s.until(t, time.Millisecond, func() bool { return s.StatsNow().Reads >= conns-1 })
	s.InTurn(0, func() {
		for _, p := range all {
			p.hold(each)
		}
	})
	for range 5 {
		s.Step()
	}
	for i, p := range all {
		if p.conn.Handle().Closed() != (p == silent) {
			t.Errorf("connection %d is closed: %v", i, p.conn.Handle().Closed())
		}
	}
}
