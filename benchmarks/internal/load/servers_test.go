package load

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// serveEngine runs an engine with a listener until the test ends.
func serveEngine(t *testing.T, accept func(*engine.Conn) engine.Protocol) (addr string) {
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 1, MaxOutbound: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		e.Run(context.Background())
		close(done)
	}()
	t.Cleanup(func() {
		e.Close()
		<-done
	})
	return ln.String()
}

// serveTCP echoes bytes.
func serveTCP(t *testing.T) string {
	return serveEngine(t, func(c *engine.Conn) engine.Protocol { return tcpEcho{c} })
}

type tcpEcho struct{ c *engine.Conn }

func (p tcpEcho) Feed(b []byte) (int, error) {
	p.c.Write(b)
	return len(b), nil
}
func (tcpEcho) Closed(error) {}

// serveWS echoes messages, and sends those of connections to /broadcast to all.
func serveWS(t *testing.T, compression *websocket.Compression) string {
	all := map[*websocket.Conn]bool{} // there is one loop
	s := &websocket.Server{Origins: []string{"*"}, Limits: websocket.Limits{MaxMessage: 4 << 20},
		Compression: compression}
	s.Handshake = func(u *websocket.Handshake) { u.Conn.Value = string(u.Raw.Path) }
	s.Open = func(c *websocket.Conn) { all[c] = true }
	s.Close = func(c *websocket.Conn, err error) { delete(all, c) }
	s.Message = func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		if c.Value != broadcastPath {
			c.Send(op, data)
			return
		}
		for to := range all {
			to.Send(op, data)
		}
	}
	return serveEngine(t, s.Accept)
}

// serveNet calls f for each connection, on a goroutine of its own, and closes the connection when f
// returns.
func serveNet(t *testing.T, f func(nc net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, nc)
			mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				f(nc)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, nc := range conns {
			nc.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return ln.Addr().String()
}

// liar is an echo server that sends what reply returns for message i of a connection. Connections
// are numbered from 0.
type liar struct {
	ws    bool
	size  int
	reply func(conn, i int, echo []byte) (send []byte, goOn bool)
	begun func(conn int, nc net.Conn) // is called before anything is read from a connection; or nil

	mu    sync.Mutex
	conns int
}

func (l *liar) serve(nc net.Conn) {
	l.mu.Lock()
	number := l.conns
	l.conns++
	l.mu.Unlock()
	if l.begun != nil {
		l.begun(number, nc)
	}
	if l.ws && !shakeHands(nc) {
		return
	}
	frame := make([]byte, l.size)
	if l.ws {
		frame = wsproto.AppendMasked(nil, wsproto.Binary, maskingKey, frame)
	}
	for i := 0; ; i++ {
		if _, err := io.ReadFull(nc, frame); err != nil {
			return
		}
		echo := frame
		if l.ws {
			payload := bytes.Clone(frame[len(frame)-l.size:])
			wsproto.Mask(payload, maskingKey)
			echo = wsproto.AppendFrame(nil, wsproto.Binary, payload)
		}
		send, goOn := l.reply(number, i, echo)
		if _, err := nc.Write(send); err != nil || !goOn {
			return
		}
	}
}

// shakeHands does a server's part of the opening handshake.
func shakeHands(nc net.Conn) bool {
	var head []byte
	var scanned uint32
	var r handshake.Request
	b := make([]byte, 4096)
	for {
		n, err := nc.Read(b)
		if err != nil {
			return false
		}
		head = append(head, b[:n]...)
		if n, err := handshake.ParseRequest(head, &scanned, &r, nil); err != nil {
			return false
		} else if n > 0 {
			break
		}
	}
	answer, err := handshake.AppendResponse(nil, r.Header("Sec-WebSocket-Key"), "", nil, nil)
	if err == nil {
		_, err = nc.Write(answer)
	}
	return err == nil
}

// lobby is the set of a liar's connections, to which it broadcasts.
type lobby struct {
	mu    sync.Mutex
	conns []net.Conn // by number
	empty int        // number of connections that have not joined
	full  chan struct{}
	again map[int][]byte // what a connection gets once more, by number
}

func newLobby(conns int) *lobby {
	return &lobby{conns: make([]net.Conn, conns), empty: conns, full: make(chan struct{})}
}

func (l *lobby) join(number int, nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[number] = nc
	if l.empty--; l.empty == 0 {
		close(l.full)
	}
}

// waitUntilFull reports whether all connections have joined before ctx ends.
func (l *lobby) waitUntilFull(ctx context.Context) bool {
	select {
	case <-l.full:
		return true
	case <-ctx.Done():
		return false
	}
}

// send writes b to all connections, each after what repeat added for it, in one Write.
func (l *lobby) send(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, nc := range l.conns {
		nc.Write(append(bytes.Clone(l.again[i]), b...))
	}
	l.again = nil
}

// repeat adds b before what a connection is sent next.
func (l *lobby) repeat(number int, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = map[int][]byte{number: bytes.Clone(b)}
}

func (l *lobby) hangUp(number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[number].Close()
}
