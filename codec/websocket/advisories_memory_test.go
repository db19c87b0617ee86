package websocket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// The tests of TestAdvisories that measure memory.

// allocated is how many bytes were ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// withoutEnd streams a head, and then a message, that has no end, 64 MiB of it.
func withoutEnd(t *testing.T) {
	_, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	fragment := append(wsproto.AppendHeader(nil, wsproto.Header{Masked: true, Length: 64 << 10}),
		make([]byte, 64<<10)...)
	for _, c := range []struct {
		name        string
		begin, more []byte
		want        string // at the end of what comes back
	}{
		{"head", []byte("GET / HTTP/1.1\r\nX: "), bytes.Repeat([]byte("x"), 64<<10),
			"header over the limit of 16384 bytes (RFC 6585 section 5)\n"},
		{"message", append([]byte(goodRequest), 0x02, 0x80, 0, 0, 0, 0), fragment,
			"\x03\xF1message over the limit of 1048576 bytes"},
	} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		before := allocated()
		nc.Write(c.begin)
		go func() {
			for range 64 << 20 / len(c.more) {
				if _, err := nc.Write(c.more); err != nil {
					break // it was closed
				}
			}
			nc.(*net.TCPConn).CloseWrite()
		}()
		got, _ := io.ReadAll(nc)
		nc.Close()
		if !bytes.HasSuffix(got, []byte(c.want)) {
			t.Errorf("%s: got %q", c.name, got)
		}
		if n := allocated() - before; n > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", c.name, n)
		}
	}
}

// pending opens connections that each send something unfinished, and measures the heap that each
// takes.
func pending(t *testing.T, s *websocket.Server, unfinished []byte) (perConn int) {
	t.Helper()
	eng, address := start(t, s, engine.Config{Loops: 1})
	const conns = 100
	var clients []*client
	for range conns {
		clients = append(clients, dial(t, address))
	}
	stats, err := eng.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for _, c := range clients {
		c.Write(unfinished)
	}
	await(t, eng, func(s engine.Stats) bool { return s.BytesRead == stats.BytesRead+uint64(conns*len(unfinished)) })
	perConn = int(heap()-before) / conns
	runtime.KeepAlive(clients)
	return perConn
}

func declaredLength(t *testing.T) {
	head := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true, Length: 1 << 30})
	if n := pending(t, &websocket.Server{Limits: websocket.Limits{MaxMessage: 1 << 30}}, append(head, 'x')); n > 4<<10 {
		t.Errorf("%d bytes for one byte of a message that says to be 1 GiB", n)
	}
}

func tinyFragments(t *testing.T) {
	fragments := wsproto.AppendHeader(nil, wsproto.Header{Opcode: wsproto.Binary, Masked: true})
	for range 1000 {
		fragments = append(wsproto.AppendHeader(fragments, wsproto.Header{Masked: true, Length: 1}), 'x')
	}
	if n := pending(t, &websocket.Server{}, fragments); n > 4<<10 {
		t.Errorf("%d bytes for a message of 1,000 in as many fragments", n)
	}
}

// outboundGrowth: of a peer that sends and never reads. Pongs do not grow a queue, echoes stop our
// reading, and what the application sends all the same has an end.
func outboundGrowth(t *testing.T) {
	const limit = 1 << 20
	t.Run("pings", func(t *testing.T) {
		pings := bytes.Repeat(wsproto.AppendMasked(nil, wsproto.Ping, 7, make([]byte, 125)), 1000)
		if !neverRead(t, &websocket.Server{Limits: websocket.Limits{ControlRate: -1}}, pings, limit) {
			t.Error("they are not read any more")
		}
	})
	t.Run("echoes", func(t *testing.T) {
		if neverRead(t, &websocket.Server{Message: echo},
			wsproto.AppendMasked(nil, wsproto.Binary, 7, make([]byte, 100_000)), limit) {
			t.Error("all are read")
		}
	})
	t.Run("broadcasts", func(t *testing.T) {
		reasons := make(chan error, 1)
		_, address := start(t, &websocket.Server{
			Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
				for range 1000 {
					if _, err := c.Send(op, make([]byte, 100_000)); err != nil {
						return
					}
				}
				t.Error("100 MB are queued")
			},
			Close: func(_ *websocket.Conn, err error) { reasons <- err },
		}, engine.Config{Loops: 1})
		dial(t, address).Write(wsproto.AppendMasked(nil, wsproto.Text, 7, nil))
		if err := receive(t, "end", reasons); !errors.Is(err, engine.ErrOutboundLimit) {
			t.Error(err)
		}
	})
}

// neverRead sends the same again and again, 64 MiB of it, and wants no more than the limit to be
// kept meanwhile. all reports whether the server took it all, or has stopped.
func neverRead(t *testing.T, s *websocket.Server, again []byte, limit int) (all bool) {
	t.Helper()
	eng, address := start(t, s, engine.Config{Loops: 1})
	c := dial(t, address)
	sent := make(chan bool)
	go func() {
		defer close(sent)
		for range 64 << 20 / len(again) {
			if _, err := c.Write(again); err != nil {
				return
			}
		}
	}()
	var read uint64
	for quiet := 0; quiet < 100; quiet++ {
		s, err := eng.Stats(t.Context())
		if err != nil || s.Buffered > limit || s.Connections != 1 {
			t.Fatalf("%d bytes are kept for %d connections, %v", s.Buffered, s.Connections, err)
		}
		if s.BytesRead != read {
			read, quiet = s.BytesRead, 0
		}
		select {
		case <-sent:
			return true
		case <-time.After(time.Millisecond):
		}
	}
	c.Close()
	<-sent
	return false
}
