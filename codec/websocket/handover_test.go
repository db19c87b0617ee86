package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// process is a program that serves WebSockets: in these tests two engines are two processes, and a
// connection goes from one to the other by Release and Adopt.
type process struct {
	eng  *engine.Engine
	load func(*engine.Conn, []byte) (engine.Protocol, error)

	conns  chan *engine.Conn // that came
	loaded chan *engine.Conn
}

// startProcess runs a Server or a Mux.
func startProcess(t testing.TB, s interface {
	Accept(*engine.Conn) engine.Protocol
	Load(*engine.Conn, []byte) (engine.Protocol, error)
}) (p *process, address string) {
	t.Helper()
	p = &process{eng: running(t, engine.Config{Loops: 1}), load: s.Load, conns: make(chan *engine.Conn, 100),
		loaded: make(chan *engine.Conn, 1)}
	ln, err := p.eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		p.conns <- c
		return s.Accept(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, ln.String()
}

// save calls Save on the loop of c.
func save(t testing.TB, c *engine.Conn) (state []byte, err error) {
	t.Helper()
	done := make(chan bool)
	if posted := c.Handle().Post(func(c *engine.Conn) {
		defer close(done)
		state, err = saveOn(t, c)
	}); posted != nil {
		t.Fatal(posted)
	}
	receive(t, "state", done)
	return state, err
}

// saveOn is save on the loop. It checks that a second Save has the same result.
func saveOn(t testing.TB, c *engine.Conn) (state []byte, err error) {
	saver := c.Protocol().(interface {
		Save(*engine.Conn, []byte) ([]byte, error)
	})
	state, err = saver.Save(c, []byte("before"))
	if again, _ := saver.Save(c, []byte("before")); !bytes.Equal(state, again) {
		t.Errorf("saved as %x, then as %x", state, again)
	}
	if !bytes.HasPrefix(state, []byte("before")) || err != nil && len(state) > len("before") {
		t.Errorf("saved behind other bytes as %q, %v", state, err)
	}
	return bytes.TrimPrefix(state, []byte("before")), err
}

// move moves c to another process, and returns it there. The error is that of Save or Load.
func move(t testing.TB, c *engine.Conn, to *process) (*engine.Conn, error) {
	t.Helper()
	errs := make(chan error, 1)
	if err := c.Handle().Post(func(c *engine.Conn) {
		state, err := saveOn(t, c)
		if err != nil {
			errs <- err
			return
		}
		if err := c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
			go func() {
				nc.Write(unsent) // an error shows elsewhere
				errs <- errors.Join(err, to.eng.Adopt(nc, unread, func(c *engine.Conn) engine.Protocol {
					p, err := to.load(c, state)
					clear(state)
					if err != nil {
						errs <- err
						return nil
					}
					to.loaded <- c
					return p
				}))
			}()
		}); err != nil {
			errs <- err
		}
	}); err != nil {
		return nil, err
	}
	if err := receive(t, "move", errs); err != nil {
		return nil, err
	}
	select {
	case err := <-errs: // of Load
		return nil, err
	case c := <-to.loaded:
		return c, nil
	case <-time.After(patience):
		t.Fatal("the connection has not arrived")
		panic("unreachable")
	}
}

// movingPeer is the client of a connection that moves.
type movingPeer struct {
	config wsproto.Config
	agreed *wsproto.Deflate
	input  []byte   // what it sends
	want   []string // and gets
}

// newMovingPeer sends a request, then messages, whole and in fragments, with pings between.
func newMovingPeer(r *rand.Rand, offer string, agreed *wsproto.Deflate) *movingPeer {
	p := &movingPeer{config: wsproto.Config{Role: wsproto.Client}, agreed: agreed}
	request := openingRequest("/", "Sec-WebSocket-Protocol: b")
	if agreed != nil {
		p.config.Compressor = deflate.New(deflate.Compression{Threshold: 20})
		request = openingRequest("/", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: "+offer)
	}
	p.input = []byte(request)
	s := wsproto.NewSender(&p.config, agreed)
	for i := range 12 {
		text := strings.Repeat(fmt.Sprintf("message %d é ", i%3), 1+r.IntN(100))
		p.want = append(p.want, fmt.Sprintf("%d of b: %s", i+1, text))
		for n := r.IntN(3); n > 0; n-- {
			cut := r.IntN(len(text) + 1)
			f := s.Frame(wsproto.Text, []byte(text[:cut]), false)
			p.input = s.Append(f.Append(p.input), wsproto.Ping, []byte{byte(i)})
			text = text[cut:]
		}
		f := s.Frame(wsproto.Text, []byte(text), true)
		p.input = f.Append(p.input)
	}
	return p
}

// read reads the answers, and returns what is wrong with them.
func (p *movingPeer) read(c *client) error {
	if res, err := http.ReadResponse(c.r, nil); err != nil || res.StatusCode != 101 {
		return fmt.Errorf("%v, %w", res, err)
	}
	s := wsproto.NewReceiver(&p.config, p.agreed)
	var unread []byte
	buf := make([]byte, 4096)
	for got := 0; got < len(p.want); {
		ev, n, err := s.Next(unread)
		unread = unread[n:]
		switch {
		case err != nil:
			return err
		case ev.Kind == wsproto.EventNone:
			if n, err = c.Read(buf); err != nil {
				return fmt.Errorf("behind %d messages: %w", got, err)
			}
			unread = append(unread, buf[:n]...)
		case ev.Kind == wsproto.EventMessage && string(ev.Payload) != p.want[got]:
			return fmt.Errorf("message %d is [%.60q], want [%.60q]", got, ev.Payload, p.want[got])
		case ev.Kind == wsproto.EventMessage:
			got++
		}
	}
	return nil
}

// numbering is a Server that answers each message with its number and the subprotocol. The number
// is the Value, which moves.
func numbering(c *websocket.Compression) *websocket.Server {
	return &websocket.Server{
		Compression:  c,
		Subprotocols: []string{"a", "b"},
		Open:         func(c *websocket.Conn) { c.Value = new(byte) },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			n := c.Value.(*byte)
			*n++
			c.Send(op, fmt.Appendf(nil, "%d of %s: %s", *n, c.Subprotocol(), data))
		},
		Handover: &websocket.Handover{
			Save: func(c *websocket.Conn, dst []byte) ([]byte, error) { return append(dst, *c.Value.(*byte)), nil },
			Load: func(c *websocket.Conn, state []byte) error {
				if len(state) != 1 {
					return fmt.Errorf("loaded %x", state)
				}
				c.Value = new(state[0])
				return nil
			},
		},
	}
}

// TestMoveWithinMessages: the client of a connection that moves between any bytes, of the request
// as well, gets what it gets without a move.
func TestMoveWithinMessages(t *testing.T) {
	for _, test := range []struct {
		name, offer string
		compression *websocket.Compression
		agreed      *wsproto.Deflate
	}{
		{name: "plain"},
		{"takeover", "permessage-deflate",
			&websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 20}, new(wsproto.Deflate)},
		{"no takeover", "permessage-deflate", &websocket.Compression{Threshold: 20},
			&wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, address := startProcess(t, numbering(test.compression))
			b, _ := startProcess(t, numbering(test.compression))
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 0))
				p := newMovingPeer(r, test.offer, test.agreed)
				c := connect(t, address, "")
				read := make(chan error, 1)
				go func() { read <- p.read(c) }()
				ec, from, to := receive(t, "connection", a.conns), a, b
				for rest := p.input; len(rest) > 0; {
					n := min(len(rest), 1+r.IntN(400))
					c.Write(rest[:n]) // an error shows elsewhere
					rest = rest[n:]
					next, err := move(t, ec, to)
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					ec, from, to = next, to, from
				}
				if err := receive(t, "answers", read); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				c.Close()
			}
		})
	}
}

// TestWhatCannotMoveSaysWhy: the engine counts connections by these causes.
func TestWhatCannotMoveSaysWhy(t *testing.T) {
	hooks := new(websocket.Handover)
	for _, test := range []struct {
		cause  string
		server *websocket.Server
		do     func(*websocket.Conn)
		send   []byte
	}{
		{cause: "no websocket.Handover", server: &websocket.Server{}},
		{cause: "no websocket.Handover.Save", server: &websocket.Server{Handover: hooks},
			do: func(c *websocket.Conn) { c.Value = 1 }},
		{cause: "no websocket.Handover.Movers", server: &websocket.Server{Handover: hooks},
			do: func(c *websocket.Conn) { c.Attach(&attached{told: make(chan string, 10)}) }},
		{cause: "websocket.Handover.Save", server: &websocket.Server{Handover: &websocket.Handover{
			Save: func(_ *websocket.Conn, dst []byte) ([]byte, error) { return append(dst, 1), errors.New("no") }}}},
		{cause: "closing", server: &websocket.Server{Handover: hooks},
			do: func(c *websocket.Conn) { c.Close(wsproto.NormalClosure, "") }},
		{cause: "message is sent in pieces", server: &websocket.Server{Handover: hooks},
			do: func(c *websocket.Conn) { c.SendPiece(websocket.Text, nil, false) }},
		{cause: "WebSocket Stream", server: &websocket.Server{Handover: hooks},
			do: func(c *websocket.Conn) { c.Stream(websocket.Binary) }},
	} {
		opened := make(chan *websocket.Conn, 1)
		test.server.Open = func(c *websocket.Conn) {
			if test.do != nil {
				test.do(c)
			}
			opened <- c
		}
		_, address := start(t, test.server, engine.Config{Loops: 1})
		dial(t, address)
		_, err := save(t, receive(t, "connection", opened).EngineConn())
		var cause interface{ Unmovable() string }
		if !errors.As(err, &cause) || cause.Unmovable() != test.cause {
			t.Errorf("%s: %v", test.cause, err)
		}
	}
}

// TestMovedConnectionsAreCounted: the new process counts windows and clients as if it had accepted
// the connections, and the old one does no longer.
func TestMovedConnectionsAreCounted(t *testing.T) {
	newServer := func() *websocket.Server {
		return &websocket.Server{Message: echo, MaxPerAddress: 1, Handover: new(websocket.Handover),
			Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 2 << 15}}
	}
	a, address := startProcess(t, newServer())
	b, second := startProcess(t, newServer())
	c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	ec := receive(t, "connection", a.conns)
	if held := heldBytes(t, a.eng); held < 64<<10 {
		t.Fatalf("%d bytes are held before the move", held)
	}
	if _, err := move(t, ec, b); err != nil {
		t.Fatal(err)
	}
	until(t, "windows in the new process only", func() bool {
		return heldBytes(t, a.eng) == 0 && heldBytes(t, b.eng) >= 64<<10
	})
	for _, m := range deflateMessages {
		c.send(t, wsproto.Text, m)
		c.expect(t, m)
	}
	connect(t, second, openingRequest("/")).response(t, 429)
	connect(t, address, openingRequest("/")).response(t, 101)
	ec = receive(t, "another connection", a.conns)
	if _, err := move(t, ec, b); err == nil || !strings.Contains(err.Error(), "MaxPerAddress") {
		t.Errorf("moved beyond MaxPerAddress: %v", err)
	}
	c.Close()
	until(t, "no windows", func() bool { return heldBytes(t, b.eng) == 0 })
	until(t, "room for another connection", func() bool {
		c := connect(t, second, openingRequest("/", "Sec-WebSocket-Extensions: permessage-deflate"))
		defer c.Close()
		res, err := http.ReadResponse(c.r, nil)
		return err == nil && res.StatusCode == 101 &&
			!strings.Contains(res.Header.Get("Sec-WebSocket-Extensions"), "takeover")
	})
}

// heldBytes returns what an engine holds because of its peers.
func heldBytes(t *testing.T, eng *engine.Engine) int { return int(countersOf(t, eng).Held) }

// TestMovedClientStaysKnown: the client's address behind a proxy, and the Server of a Mux.
func TestMovedClientStaysKnown(t *testing.T) {
	newMux := func(name string) *websocket.Mux {
		servers := make(map[string]*websocket.Server)
		for _, path := range []string{"/a", "/rooms/", "/z"} {
			servers[path] = &websocket.Server{Handover: new(websocket.Handover),
				Message: func(c *websocket.Conn, op websocket.Opcode, _ []byte) {
					c.SendText(fmt.Sprint(name, path, c.RemoteAddr().Addr()))
				}}
		}
		return &websocket.Mux{Servers: servers, Proxies: local}
	}
	a, address := startProcess(t, newMux("old"))
	b, _ := startProcess(t, newMux("new"))
	c := connect(t, address, behind("192.0.2.7"))
	c.response(t, 101)
	if _, err := move(t, receive(t, "connection", a.conns), b); err != nil {
		t.Fatal(err)
	}
	c.Write(wsproto.AppendMasked(nil, wsproto.Text, 7, nil))
	c.expect(t, 1, "new/rooms/192.0.2.7")
}

// TestMovedRate: a peer that is paused by its Rate stays so in the new process, and goes on.
func TestMovedRate(t *testing.T) {
	newServer := func() *websocket.Server {
		return &websocket.Server{Message: echo, Handover: new(websocket.Handover),
			Rate: &websocket.Rate{Messages: 50, Burst: 5}}
	}
	a, address := startProcess(t, newServer())
	b, _ := startProcess(t, newServer())
	c := dial(t, address)
	ec := receive(t, "connection", a.conns)
	var all []byte
	for range 20 {
		all = wsproto.AppendMasked(all, wsproto.Text, 7, []byte("x"))
	}
	c.Write(all)
	for range 6 { // then it is paused
		c.expect(t, 1, "x")
	}
	ec, err := move(t, ec, b)
	if err != nil {
		t.Fatal(err)
	}
	reading := make(chan bool, 1)
	ec.Handle().Post(func(c *engine.Conn) { reading <- c.Reading() })
	if receive(t, "state", reading) {
		t.Log("it goes on already") // the machine is slow
	}
	for range 14 {
		c.expect(t, 1, "x")
	}
}

// TestMoveToSmallerLimit: a message in progress that is too large for the new process is refused
// there, after the Value was loaded.
func TestMoveToSmallerLimit(t *testing.T) {
	a, address := startProcess(t, numbering(nil))
	closed := make(chan byte, 1)
	s := numbering(nil)
	s.MaxMessage = 100
	s.Close = func(c *websocket.Conn, _ error) { closed <- *c.Value.(*byte) }
	b, _ := startProcess(t, s)
	c := dial(t, address)
	ec := receive(t, "connection", a.conns)
	frame := wsproto.AppendMasked(nil, wsproto.Text, 7, make([]byte, 1000))
	c.Write(frame[:500])
	await(t, a.eng, func(s engine.Stats) bool { return s.Held >= 400 })
	if _, err := move(t, ec, b); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closeCode(t); code != 1009 {
		t.Errorf("close code %d", code)
	}
	if n := receive(t, "Close", closed); n != 0 {
		t.Errorf("the Value is %d", n)
	}
}

// TestFailedLoad: if the user's Load fails, the client is told, and Close is not called.
func TestFailedLoad(t *testing.T) {
	a, address := startProcess(t, numbering(nil))
	s := numbering(nil)
	s.Handover.Load = func(*websocket.Conn, []byte) error { return errors.New("no") }
	s.Close = func(*websocket.Conn, error) { t.Error("Close is called") }
	b, _ := startProcess(t, s)
	c := dial(t, address)
	if _, err := move(t, receive(t, "connection", a.conns), b); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closeCode(t); code != 1012 {
		t.Errorf("close code %d", code)
	}
	until(t, "the end", func() bool { return countersOf(t, b.eng).Connections == 0 })
}

// TestMalformedStates are refused, and leave the connection as it is.
func TestMalformedStates(t *testing.T) {
	s := &websocket.Server{Message: echo, Handover: new(websocket.Handover), MaxPerAddress: 3,
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true}}
	p, address := startProcess(t, s)
	c := dialDeflate(t, address, "permessage-deflate", wsproto.Deflate{})
	c.send(t, wsproto.Text, deflateMessages[0])
	c.expect(t, deflateMessages[0])
	ec := receive(t, "connection", p.conns)
	state, err := save(t, ec)
	if err != nil {
		t.Fatal(err)
	}
	states := [][]byte{nil, append(slices.Clone(state), 0), {1, 1, 0}, {1, 3}, {2, 0}}
	for i := range state {
		states = append(states, state[:i])
	}
	huge := binary.AppendUvarint([]byte{1, 0}, 1<<60)
	done := make(chan bool)
	ec.Handle().Post(func(c *engine.Conn) {
		defer close(done)
		for _, bad := range append(states, huge) {
			if p, err := s.Load(c, bad); err == nil {
				t.Errorf("loaded %d bytes of %d as %T", len(bad), len(state), p)
				return
			}
		}
	})
	receive(t, "end of Load", done)
	c.send(t, wsproto.Text, deflateMessages[0])
	c.expect(t, deflateMessages[0])
	connect(t, address, openingRequest("/")).response(t, 101)
}
