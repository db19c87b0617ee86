package websocket_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// echoPieces sends back what it gets, piece by piece.
func echoPieces(c *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
	c.SendPiece(op, data, last)
}

// TestPiecesMakeTheMessage: whatever is sent to an echo of pieces comes back the same, in both
// roles, compressed or not.
func TestPiecesMakeTheMessage(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {}, {ServerTakeover: true, ClientTakeover: true}} {
		for _, streams := range []string{"server", "client"} {
			t.Run(fmt.Sprintf("%+v, the %s streams", compression, streams), func(t *testing.T) {
				got := make(chan string, 1)
				arrived := func(_ *websocket.Conn, op websocket.Opcode, data []byte) {
					got <- op.String() + string(data)
				}
				server := &websocket.Server{Compression: compression, Limits: websocket.Limits{MaxMessage: 4 << 20}}
				client := &websocket.Client{Compression: compression, Limits: websocket.Limits{MaxMessage: 4 << 20}}
				var sender websocket.Handle
				accepted := make(chan websocket.Handle, 1)
				server.Open = func(c *websocket.Conn) { accepted <- c.Handle() }
				if streams == "server" {
					server.Piece, client.Message = echoPieces, arrived
				} else {
					server.Message, client.Piece = arrived, echoPieces
				}
				eng, address := start(t, server, engine.Config{Loops: 2})
				o := open(t, client, eng, "ws://"+address)
				if o.err != nil {
					t.Fatal(o.err)
				}
				if sender = o.c.Handle(); streams == "client" {
					sender = receive(t, "connection", accepted)
				}
				for _, n := range []int{0, 1, 126, 4096, 65536, 1 << 20, 3 << 20} {
					for op, data := range map[websocket.Opcode]string{websocket.Text: strings.Repeat("größer ", n/8),
						websocket.Binary: strings.Repeat("\x00\xff", n/2)} {
						sender.Send(op, []byte(data))
						if g := receive(t, "echo", got); g != op.String()+data {
							t.Fatalf("%v of %d bytes came back as %.20q of %d", op, len(data), g, len(g))
						}
					}
				}
			})
		}
	}
}

// TestMessageAndPieceShareMessages by size, in both roles, whether they come in one frame or many,
// compressed or not. MaxMessage has no default.
func TestMessageAndPieceShareMessages(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {Threshold: 1}} {
		for _, receives := range []string{"server", "client"} {
			for _, limit := range []int{0, 100} {
				t.Run(fmt.Sprintf("%+v, the %s receives, MaxWhole %d", compression, receives, limit),
					func(t *testing.T) {
						got := make(chan string, 1)
						pieces := 0 // of one connection, on its loop
						message := func(_ *websocket.Conn, op websocket.Opcode, data []byte) {
							got <- fmt.Sprint("whole ", op, len(data))
						}
						piece := func(_ *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
							if pieces += len(data); last {
								got <- fmt.Sprint("pieces ", op, pieces)
								pieces = 0
							}
						}
						server, client := &websocket.Server{Compression: compression},
							&websocket.Client{Compression: compression}
						accepted := make(chan websocket.Handle, 1)
						server.Open = func(c *websocket.Conn) { accepted <- c.Handle() }
						if receives == "server" {
							server.Message, server.Piece, server.MaxWhole = message, piece, limit
						} else {
							client.Message, client.Piece, client.MaxWhole = message, piece, limit
						}
						eng, address := start(t, server, engine.Config{Loops: 2})
						o := open(t, client, eng, "ws://"+address)
						if o.err != nil {
							t.Fatal(o.err)
						}
						sender := o.c.Handle()
						if receives == "client" {
							sender = receive(t, "connection", accepted)
						}
						limit := cmp.Or(limit, websocket.Limits{}.WithDefaults().MaxWhole)
						for _, n := range []int{0, 1, limit - 1, limit, limit + 1, 3 << 20} {
							data := bytes.Repeat([]byte("tick 12345 price 678.90;"), n/24+1)[:n]
							want := fmt.Sprint("whole ", websocket.Text, n)
							if n > limit {
								want = fmt.Sprint("pieces ", websocket.Text, n)
							}
							sender.Send(websocket.Text, data)
							if g := receive(t, "message", got); g != want {
								t.Errorf("%s, want %s", g, want)
							}
							sender.Post(func(c *websocket.Conn) {
								c.SendPiece(websocket.Text, data[:n/2], false)
								c.Ping(nil)
								c.SendPiece(websocket.Text, data[n/2:], true)
							})
							if g := receive(t, "message in two frames", got); g != want {
								t.Errorf("in two frames: %s, want %s", g, want)
							}
						}
					})
			}
		}
	}
}

// TestPiecesStopWhereReadingIsPaused, in the middle of a compressed frame too, and nothing is lost
// or told twice.
func TestPiecesStopWhereReadingIsPaused(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {ClientTakeover: true}} {
		var sum, paused int // of one connection, on its loop
		done := make(chan int, 1)
		data := bytes.Repeat([]byte("tick 12345 price 678.90;"), 100_000)
		var got []byte
		eng, address := start(t, &websocket.Server{Compression: compression,
			Piece: func(c *websocket.Conn, _ websocket.Opcode, b []byte, last bool) {
				if paused > 0 {
					t.Error("a piece comes while reading is paused")
				}
				got = append(got, b...)
				if sum++; last {
					done <- sum
					return
				}
				paused++
				c.EngineConn().PauseRead()
				h := c.Handle()
				h.Post(func(c *websocket.Conn) {
					paused--
					c.EngineConn().ResumeRead()
				})
			}}, engine.Config{Loops: 1})
		o := open(t, &websocket.Client{Compression: compression}, eng, "ws://"+address)
		if o.err != nil {
			t.Fatal(o.err)
		}
		o.c.Handle().Send(websocket.Binary, data)
		if pieces := receive(t, "message", done); pieces < 10 || !bytes.Equal(got, data) {
			t.Errorf("compressed %v: %d bytes in %d pieces, want %d", compression != nil, len(got), pieces, len(data))
		}
	}
}

// TestLargeMessageStreamsThroughSmallBuffers: 64 MiB go through an echo that never holds one of
// them, although the peer sends before it reads.
func TestLargeMessageStreamsThroughSmallBuffers(t *testing.T) {
	const size, most = 64 << 20, 1 << 20
	eng, address := start(t, &websocket.Server{Piece: echoPieces}, engine.Config{Loops: 1})
	c := dial(t, address)
	c.SetDeadline(time.Now().Add(6 * patience))
	sent := make(chan error, 1)
	go func() {
		ws.WriteHeader(c.Conn, ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: size})
		b := make([]byte, 1<<20)
		var err error
		for n := 0; n < size && err == nil; n += len(b) {
			for i := range 1024 { // enough to see that each stands where it should
				b[i<<10] = byte((n>>10 + i) % 251)
			}
			_, err = c.Conn.Write(b)
		}
		sent <- err
	}()
	sampled := make(chan int, 1)
	stop := make(chan struct{})
	go func() {
		largest := 0
		for {
			s, err := eng.Stats(context.Background())
			if largest = max(largest, s.Buffered); err != nil {
				break
			}
			select {
			case <-stop:
				sampled <- largest
				return
			case <-time.After(time.Millisecond):
			}
		}
		sampled <- largest
	}()
	await(t, eng, func(s engine.Stats) bool { return s.Buffered > 0 }) // the peer does not read
	n := 0
	for last := false; !last; {
		f, err := readFrame(c.r)
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		for i := -n & 1023; i < len(f.Payload); i += 1024 {
			if f.Payload[i] != byte((n+i)>>10%251) {
				t.Fatalf("byte %d is wrong", n+i)
			}
		}
		n += len(f.Payload)
		last = f.Header.Fin
	}
	close(stop)
	if err := receive(t, "end of sending", sent); err != nil || n != size {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	if largest := receive(t, "samples", sampled); largest > most {
		t.Errorf("the server held %d bytes, want at most %d", largest, most)
	}
}
