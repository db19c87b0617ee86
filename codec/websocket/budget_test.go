package websocket_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// inUse is how many bytes of heap and stacks are in use.
func inUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// packed is a masked frame with a compressed message, or the first of one.
func packed(size int, fin bool) []byte {
	b := deflate.New(deflate.Compression{Level: 9}).Append(nil, make([]byte, size), nil, 15)
	h := wsproto.Header{Fin: fin, RSV: wsproto.RSV1, Opcode: wsproto.Binary, Masked: true, Length: uint64(len(b))}
	return append(wsproto.AppendHeader(nil, h), b...)
}

// begun is the beginning of a message of 1 MiB.
func begun(size int) []byte {
	h := wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: 1 << 20}
	return append(wsproto.AppendHeader(nil, h), make([]byte, size)...)
}

var noTakeover = wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}

// TestHeldByPeersIsCounted: Stats knows of at least nine tenths of what peers make a server hold,
// and when they have left, of nothing.
func TestHeldByPeersIsCounted(t *testing.T) {
	const peers = 50
	nothing := make(nothingYet)
	defer close(nothing)
	for _, c := range []struct {
		name   string
		server *websocket.Server
		send   []byte
		least  int // bytes held for each
	}{
		{"a message stops", &websocket.Server{}, begun(900 << 10), 900 << 10},
		{"a message stops early", &websocket.Server{}, begun(100), 100},
		{"fragments stop", &websocket.Server{}, wsproto.AppendHeader([]byte("\x01\x81\x00\x00\x00\x00x"),
			wsproto.Header{Masked: true, Length: 5}), 1},
		{"a compressed stream stops", &websocket.Server{Compression: &websocket.Compression{},
			Piece: func(*websocket.Conn, websocket.Opcode, []byte, bool) {}}, packed(100_000, false), 40 << 10},
		{"a callback has paused", &websocket.Server{Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) {
			c.EngineConn().PauseRead()
		}}, append(begun(1<<20), "\x81"...), 1 << 20},
		{"nobody reads a Stream", &websocket.Server{Open: func(c *websocket.Conn) { c.Stream(websocket.Binary) }},
			begun(1 << 20), 1 << 20},
		{"behind SendFrom", &websocket.Server{Message: echo, Open: func(c *websocket.Conn) {
			c.SendFrom(websocket.Binary, nothing, func(error) {})
		}}, []byte(strings.Repeat("\x82\x81\x00\x00\x00\x00x", 1000)), 64_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var handles []websocket.Handle
			opened, open := make(chan websocket.Handle, peers), c.server.Open
			c.server.Open = func(c *websocket.Conn) {
				if open != nil {
					open(c)
				}
				opened <- c.Handle()
			}
			eng, address := start(t, c.server, engine.Config{Loops: 1})
			for range 3 { // what is made once
				dialDeflate(t, address, "permessage-deflate", noTakeover).Close()
				receive(t, "connection", opened)
			}
			var clients []*deflatePeer
			for range peers {
				clients = append(clients, dialDeflate(t, address, "permessage-deflate", noTakeover))
				handles = append(handles, receive(t, "connection", opened))
			}
			await(t, eng, func(s engine.Stats) bool { return s.Connections == peers && s.Buffered == 0 })
			before := inUse()
			for _, p := range clients {
				p.Write(c.send)
			}
			await(t, eng, func(s engine.Stats) bool {
				return s.BytesRead >= uint64(peers*len(c.send)) && s.Buffered >= peers*c.least
			})
			// A message that is inflated in steps may still grow: both must be of the same time.
			counted, grown := 0, 0
			await(t, eng, func(s engine.Stats) bool {
				same := s.Buffered == counted
				counted, grown = s.Buffered, inUse()-before
				return same
			})
			// Timers, stacks that grow, and the like are not counted.
			if counted < grown*9/10-128<<10 {
				t.Errorf("the heap has grown by %d bytes, Stats says %d", grown, counted)
			}
			for _, p := range clients {
				p.Close()
			}
			for _, h := range handles { // the end of a peer that is not read from goes unnoticed
				h.Post(func(c *websocket.Conn) { c.EngineConn().Abort() })
			}
			await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 })
			await(t, eng, func(s engine.Stats) bool { return s.Buffered == 0 && s.Held == 0 })
		})
	}
}

// nothingYet is a reader that has nothing until the test ends.
type nothingYet chan struct{}

func (w nothingYet) Read([]byte) (int, error) {
	<-w
	return 0, io.EOF
}

// TestStoppedMessagesStayInTheBudget: peers that stop in the middle of a message are closed when
// they hold more than the budget, and small connections are not.
func TestStoppedMessagesStayInTheBudget(t *testing.T) {
	const most = 16 << 20
	var ended atomic.Int32
	eng, address := start(t, &websocket.Server{Message: echo, Close: func(_ *websocket.Conn, err error) {
		ended.Add(1)
	}}, engine.Config{Loops: 2, MaxBuffered: most})
	good := dial(t, address)
	good.ask(t, ws.OpText, "before")
	before := inUse()
	for i := range 100 {
		dial(t, address).Write(begun(900 << 10))
		if i%10 == 9 {
			good.ask(t, ws.OpText, "meanwhile")
		}
	}
	await(t, eng, func(s engine.Stats) bool { return s.Buffered <= most && s.BytesRead >= 80<<20 })
	if grown := inUse() - before; grown > most*5/4 {
		t.Errorf("the heap has grown by %d bytes, the budget is %d", grown, most)
	}
	if n := ended.Load(); n < 80 || n > 95 {
		t.Errorf("%d of 100 were closed", n)
	}
	good.ask(t, ws.OpText, "afterwards")
}

// TestWindowsDoNotCostTheirConnections: connections that hold nothing but their windows stay when
// others fill the budget, however long they have been silent. They were closed first.
func TestWindowsDoNotCostTheirConnections(t *testing.T) {
	const idle, attackers = 32, 60
	var opened atomic.Int32
	var closed, idleClosed atomic.Int32
	eng, address := start(t, &websocket.Server{
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
		Open:        func(c *websocket.Conn) { c.Value = opened.Add(1) <= idle },
		Close: func(c *websocket.Conn, _ error) {
			if closed.Add(1); c.Value == true {
				idleClosed.Add(1)
			}
		},
	}, engine.Config{Loops: 1, MaxBuffered: 4 << 20})
	for range idle {
		dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	}
	var all []net.Conn
	for range attackers {
		c := dial(t, address)
		c.Write(begun(1000))
		all = append(all, c)
	}
	for sent := 0; closed.Load() < attackers/2; sent += 2000 {
		if sent > 1<<20 {
			t.Fatalf("nobody was closed for %d bytes each", sent)
		}
		read := countersOf(t, eng).BytesRead
		for _, c := range all {
			c.Write(make([]byte, 2000))
		}
		// They are not silent, and the others are.
		await(t, eng, func(s engine.Stats) bool { return s.BytesRead > read || closed.Load() >= attackers/2 })
	}
	if n := idleClosed.Load(); n > 0 {
		t.Errorf("%d connections that held nothing but windows were closed", n)
	}
}

// TestBombsDoNotKeepOthersWaiting: what is inflated counts for the share of a turn, not what
// arrived, and so does each message.
func TestBombsDoNotKeepOthersWaiting(t *testing.T) {
	for _, size := range []int{1 << 20, 64 << 10, 1000, 1} {
		one := packed(size, true)
		messages := max(1, 200<<10/len(one))
		work, turn, most, seen := 0, time.Duration(-1), 0, make(chan int, 1)
		n := 0
		_, address := start(t, &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, d []byte) {
			if now := c.EngineConn().Now(); now != turn {
				turn, work = now, 0
			}
			work += 2<<10 + len(d)
			if most = max(most, work); n+1 == messages {
				seen <- most
			}
			n++
		}, Compression: &websocket.Compression{}}, engine.Config{Loops: 1})
		bomb := dialDeflate(t, address, "permessage-deflate", noTakeover)
		bomb.Write([]byte(strings.Repeat(string(one), messages)))
		// A connection in the middle of a message may use its share twice.
		if most := receive(t, "last message", seen); most > 2*(512<<10+size+(2<<10)) {
			t.Errorf("%d bytes of work in one turn, with messages of %d", most, size)
		}
	}
}

// TestLargeMessagesAreInflatedInSteps: a bomb of 1 MiB, or a message that is made of expensive
// blocks, is inflated turn by turn, with room for others in between.
func TestLargeMessagesAreInflatedInSteps(t *testing.T) {
	messages := make(chan int, 1)
	eng, address := start(t, &websocket.Server{Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) {
		messages <- len(data)
	}, Compression: &websocket.Compression{}}, engine.Config{Loops: 1})
	c := dialDeflate(t, address, "permessage-deflate", noTakeover)
	before := countersOf(t, eng).Turns
	c.Write(packed(1<<20, true))
	if n := receive(t, "message", messages); n != 1<<20 {
		t.Errorf("%d bytes", n)
	}
	if n := countersOf(t, eng).Turns - before; n < 1<<20/(96<<10) {
		t.Errorf("1 MiB was inflated in %d turns", n)
	}
	c.Write(packed(1, true))
	receive(t, "next message", messages)
	if s := countersOf(t, eng); s.Held != 0 {
		t.Errorf("%d bytes are held", s.Held)
	}
}

func countersOf(t *testing.T, eng *engine.Engine) (s engine.Stats) {
	t.Helper()
	await(t, eng, func(now engine.Stats) bool { s = now; return true })
	return s
}

// TestHeldMessagesKeepTheirPolicy: while a message is sent piece by piece, a broadcast to a peer
// that does not keep up is dropped or replaces older ones, and does not close the connection.
func TestHeldMessagesKeepTheirPolicy(t *testing.T) {
	for _, slow := range []engine.SlowPolicy{engine.SlowDropNewest, engine.SlowDropOldest} {
		t.Run(slow.String(), func(t *testing.T) {
			opened := make(chan websocket.Handle, 1)
			eng, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) { opened <- c.Handle() }},
				engine.Config{Loops: 1})
			client := dial(t, address)
			h := receive(t, "connection", opened)
			h.Post(func(c *websocket.Conn) { c.SendPiece(websocket.Text, []byte("begin "), false) })
			const messages = 40 // of 1 MiB, more than may be held
			for i := range messages {
				data := append([]byte{byte('0' + i)}, make([]byte, 1<<20)...)
				p := websocket.Prepare(websocket.Binary, data)
				if err := websocket.Broadcast(p, slices.Values([]websocket.Handle{h}), slow); err != nil {
					t.Fatal(err)
				}
				if s := countersOf(t, eng); s.Held > 3<<20 {
					t.Fatalf("%d bytes are held", s.Held)
				}
			}
			h.Post(func(c *websocket.Conn) { c.SendPiece(websocket.Text, []byte("end"), true) })
			client.SetDeadline(time.Now().Add(patience))
			want := byte('0')
			if slow == engine.SlowDropOldest {
				want = '0' + messages - 1
			}
			for range 2 {
				if _, err := readFrame(client); err != nil {
					t.Fatal(err)
				}
			}
			f, err := readFrame(client)
			if err != nil || f.Payload[0] != want {
				t.Fatalf("message %q, want %q: %v", f.Payload[:1], want, err)
			}
			if s := countersOf(t, eng); s.Held != 0 {
				t.Errorf("%d bytes are held", s.Held)
			}
		})
	}
}

// TestWindowsAreGivenBackAfterANormalClose: the closing handshake of either end does not keep them
// in the budget.
func TestWindowsAreGivenBackAfterANormalClose(t *testing.T) {
	for _, first := range []string{"client", "server", "cut"} {
		t.Run(first, func(t *testing.T) {
			var closed atomic.Int32
			s := &websocket.Server{
				Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.Close(websocket.NormalClosure, "") },
				Close:   func(*websocket.Conn, error) { closed.Add(1) },
				Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true,
					MaxWindows: 2 << 15},
			}
			eng, address := start(t, s, engine.Config{Loops: 1})
			for round := range 5 {
				c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
				if strings.Contains(c.agreed, "takeover") {
					t.Fatalf("round %d agreed on %q: the budget is not free", round, c.agreed)
				}
				switch goodbye := wsproto.AppendMasked(nil, wsproto.Close, 7, []byte{3, 232}); first {
				case "client":
					c.Write(goodbye)
					io.Copy(io.Discard, c.r)
				case "server":
					c.send(t, wsproto.Text, "close")
					c.Write(goodbye)
					io.Copy(io.Discard, c.r)
				}
				c.Close()
				await(t, eng, func(s engine.Stats) bool { return closed.Load() == int32(round+1) && s.Held == 0 })
			}
		})
	}
}
