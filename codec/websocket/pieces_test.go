package websocket_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// echoPieces sends back what it gets, piece by piece.
func echoPieces(c *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
	c.SendPiece(op, data, last)
}

// TestPiecesMakeTheMessage: whatever is sent to an echo of pieces comes back the same, in both roles, compressed or not.
func TestPiecesMakeTheMessage(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {}, {ServerTakeover: true, ClientTakeover: true}} {
		for _, streams := range []string{"server", "client"} {
			t.Run(fmt.Sprintf("%+v, the %s streams", compression, streams), func(t *testing.T) {
				got := make(chan string, 1)
				arrived := func(_ *websocket.Conn, op websocket.Opcode, data []byte) { got <- op.String() + string(data) }
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
					for op, data := range map[websocket.Opcode]string{websocket.Text: strings.Repeat("größer ", n/8), websocket.Binary: strings.Repeat("\x00\xff", n/2)} {
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

// TestMessageAndPieceShareMessages by size, in both roles, whether they come in one frame or many, compressed or not. There is no
// default of MaxMessage.
func TestMessageAndPieceShareMessages(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {Threshold: 1}} {
		for _, receives := range []string{"server", "client"} {
			for _, limit := range []int{0, 100} {
				t.Run(fmt.Sprintf("%+v, the %s receives, MaxWhole %d", compression, receives, limit), func(t *testing.T) {
					got := make(chan string, 1)
					pieces := 0 // of one connection, on its loop
					message := func(_ *websocket.Conn, op websocket.Opcode, data []byte) { got <- fmt.Sprint("whole ", op, len(data)) }
					piece := func(_ *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
						if pieces += len(data); last {
							got <- fmt.Sprint("pieces ", op, pieces)
							pieces = 0
						}
					}
					server, client := &websocket.Server{Compression: compression}, &websocket.Client{Compression: compression}
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

// TestPiecesStopWhereReadingIsPaused, in the middle of a compressed frame too, and nothing is lost or told twice.
func TestPiecesStopWhereReadingIsPaused(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {ClientTakeover: true}} {
		var sum, paused int // of one connection, on its loop
		done := make(chan int, 1)
		data := bytes.Repeat([]byte("tick 12345 price 678.90;"), 100_000)
		var got []byte
		eng, address := start(t, &websocket.Server{Compression: compression, Piece: func(c *websocket.Conn, _ websocket.Opcode, b []byte, last bool) {
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

// TestOtherMessagesWaitForTheLastPiece, those of other goroutines and prepared ones, too; pings do not.
func TestOtherMessagesWaitForTheLastPiece(t *testing.T) {
	for _, compression := range []*websocket.Compression{nil, {ServerTakeover: true, ClientTakeover: true, Threshold: 1}} {
		eng, address := start(t, &websocket.Server{Compression: compression, Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Text, []byte("one, "), false)
			c.Send(websocket.Text, []byte("second"))
			c.SendPiece(websocket.Text, []byte("two, "), false)
			c.SendPlain(websocket.Binary, []byte("third"))
			c.SendPrepared(websocket.Prepare(websocket.Text, []byte("fourth")), engine.SlowWait)
			c.Ping([]byte("in between"))
			h := c.Handle()
			h.Send(websocket.Text, []byte("fifth"))
			h.Post(func(c *websocket.Conn) {
				if err := c.SendFrom(websocket.Text, strings.NewReader("x"), func(error) { t.Error("done is called") }); !errors.Is(err, websocket.ErrSending) {
					t.Errorf("SendFrom within a message: %v", err)
				}
				c.SendPiece(websocket.Text, nil, true)
				c.SendPiece(websocket.Binary, []byte("sixth"), true)
			})
		}}, engine.Config{Loops: 1})
		got := make(chan string, 10)
		client := &websocket.Client{
			Compression: compression,
			Message:     func(_ *websocket.Conn, op websocket.Opcode, data []byte) { got <- op.String() + " " + string(data) },
			Ping:        func(_ *websocket.Conn, data []byte) { got <- "ping " + string(data) },
		}
		if o := open(t, client, eng, "ws://"+address); o.err != nil {
			t.Fatal(o.err)
		}
		for _, want := range []string{"ping in between", "text one, two, ", "text second", "binary third", "text fourth", "text fifth", "binary sixth"} {
			if s := receive(t, want, got); s != want {
				t.Fatalf("%q, want %q", s, want)
			}
		}
	}
}

// TestPongIsDueBehindTheLastPiece: an empty ping that comes while the peer does not take what it is sent is answered, also if a message
// in pieces ends before that is possible.
func TestPongIsDueBehindTheLastPiece(t *testing.T) {
	ended := make(chan error, 1)
	_, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) { c.SendPiece(websocket.Binary, make([]byte, 16<<20), false) },
		Ping: func(c *websocket.Conn, _ []byte) {
			p, err := c.SendPiece(websocket.Binary, nil, true)
			if p != engine.Queued {
				t.Errorf("pressure %v", p)
			}
			ended <- err
		},
	}, engine.Config{Loops: 1, HighWater: 32 << 20, MaxOutbound: 64 << 20})
	c := dial(t, address)
	ws.WriteFrame(c, ws.MaskFrame(ws.NewPingFrame(nil)))
	if err := receive(t, "last piece", ended); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := ws.ReadHeader(c)
		if err == nil {
			_, err = io.CopyN(io.Discard, c, h.Length)
		}
		if err != nil {
			t.Fatalf("no pong: %v", err)
		}
		if h.OpCode == ws.OpPong {
			return
		}
	}
}

// TestPiecesAndMessagesShareTheWindow: with context takeover each of them refers to what was sent before, by whichever way.
func TestPiecesAndMessagesShareTheWindow(t *testing.T) {
	compression := &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
	eng, address := start(t, &websocket.Server{Compression: compression, Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		for range 2 {
			c.Send(op, data)
			c.SendPiece(op, data[:len(data)/3], false)
			c.SendPiece(op, data[len(data)/3:], true)
			c.SendFrom(op, strings.NewReader(string(data)), func(error) {})
		}
	}}, engine.Config{Loops: 1})
	got := make(chan string, 10)
	client := &websocket.Client{Compression: compression, Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { got <- string(data) }}
	o := open(t, client, eng, "ws://"+address)
	if o.err != nil {
		t.Fatal(o.err)
	}
	for i := range 10 {
		text := fmt.Sprintf("tick %d price 678.90; %s tick %d", i, strings.Repeat("x", i*100), i)
		o.c.Handle().Send(websocket.Text, []byte(text))
		for range 4 { // pieces and a second SendFrom are refused while the first one sends
			if s := receive(t, "message", got); s != text {
				t.Fatalf("%q, want %q", s, text)
			}
		}
	}
}

// TestHeldMessagesAreBounded: what waits for the end of a message that never ends is no leak.
func TestHeldMessagesAreBounded(t *testing.T) {
	ended := make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.SendPiece(websocket.Binary, []byte("x"), false)
			for range 16 {
				if _, err := c.Send(websocket.Binary, make([]byte, 1<<20)); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.Send(websocket.Binary, make([]byte, 1)); !errors.Is(err, engine.ErrOutboundLimit) {
				t.Errorf("one byte too many: %v", err)
			}
		},
		Close: func(_ *websocket.Conn, err error) { ended <- err },
	}, engine.Config{Loops: 1})
	if o := open(t, &websocket.Client{}, eng, "ws://"+address); o.err != nil {
		t.Fatal(o.err)
	}
	if err := receive(t, "end", ended); !errors.Is(err, engine.ErrOutboundLimit) {
		t.Fatal(err)
	}
}

// TestSendFrom: what a reader gives is one message, however it gives it; then the next message follows.
func TestSendFrom(t *testing.T) {
	noise := make([]byte, 1<<20)
	for i, rng := 0, rand.New(rand.NewPCG(1, 1)); i < len(noise); i++ {
		noise[i] = byte(rng.Uint32())
	}
	for _, test := range []struct {
		name string
		r    func() io.Reader
		want []byte
	}{
		{"nothing", func() io.Reader { return strings.NewReader("") }, nil},
		{"a few bytes", func() io.Reader { return strings.NewReader("hello") }, []byte("hello")},
		{"the end with the data", func() io.Reader { return iotest.DataErrReader(bytes.NewReader(noise)) }, noise},
		{"byte by byte", func() io.Reader { return iotest.OneByteReader(bytes.NewReader(noise[:3000])) }, noise[:3000]},
		{"much", func() io.Reader { return bytes.NewReader(noise) }, noise},
	} {
		for _, compression := range []*websocket.Compression{nil, {ServerTakeover: true}} {
			t.Run(fmt.Sprint(test.name, compression != nil), func(t *testing.T) {
				done := make(chan error, 1)
				eng, address := start(t, &websocket.Server{Compression: compression, Open: func(c *websocket.Conn) {
					if err := c.SendFrom(websocket.Binary, test.r(), func(err error) { done <- err }); err != nil {
						t.Error(err)
					}
					if _, err := c.SendPiece(websocket.Binary, nil, true); !errors.Is(err, websocket.ErrSending) {
						t.Errorf("SendPiece meanwhile: %v", err)
					}
					if err := c.SendFrom(websocket.Binary, test.r(), nil); !errors.Is(err, websocket.ErrSending) {
						t.Errorf("SendFrom meanwhile: %v", err)
					}
					c.Send(websocket.Text, []byte("afterwards"))
				}}, engine.Config{Loops: 1})
				got := make(chan string, 2)
				client := &websocket.Client{Compression: compression, Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { got <- string(data) }}
				if o := open(t, client, eng, "ws://"+address); o.err != nil {
					t.Fatal(o.err)
				}
				if first, second := receive(t, "message", got), receive(t, "message", got); first != string(test.want) || second != "afterwards" {
					t.Errorf("messages of %d bytes and then of %d", len(first), len(second))
				}
				if err := receive(t, "done", done); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSendFromWaitsForASlowPeer: it reads no further than the peer does, and goes on when that goes on.
func TestSendFromWaitsForASlowPeer(t *testing.T) {
	const size = 32 << 20
	r := &counted{left: size}
	done := make(chan error, 1)
	eng, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
		c.SendFrom(websocket.Binary, r, func(err error) { done <- err })
	}}, engine.Config{Loops: 1})
	c := dial(t, address)
	await(t, eng, func(s engine.Stats) bool { return s.Buffered > 64<<10 }) // more waits than may
	for before := int64(-1); r.given.Load() != before; time.Sleep(20 * time.Millisecond) {
		before = r.given.Load()
	}
	if n := r.given.Load(); n > size/2 {
		t.Errorf("%d bytes were read for a peer that reads nothing", n)
	}
	n := 0
	for last := false; !last; {
		f, err := readFrame(c.r)
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		n += len(f.Payload)
		last = f.Header.Fin
	}
	if err := receive(t, "done", done); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// counted gives so many bytes, and says how many it has given.
type counted struct {
	left  int
	given atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(b), c.left)
	c.left -= n
	c.given.Add(int64(n))
	return n, nil
}

// TestSendFromEnds with the connection, and a reader that fails ends the connection; no goroutine stays.
func TestSendFromEnds(t *testing.T) {
	broken := errors.New("the disk is on fire")
	before := runtime.NumGoroutine()
	for _, test := range []struct {
		name string
		r    io.Reader
		want error
		code ws.StatusCode
	}{
		{"the reader fails", io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(broken)), broken, ws.StatusInternalServerError},
		{"the peer leaves", endless{}, engine.ErrClosed, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			done := make(chan error, 1)
			_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
				c.SendFrom(websocket.Binary, test.r, func(err error) { done <- err })
			}}, engine.Config{Loops: 1})
			c := dial(t, address)
			if test.code != 0 {
				if code, _ := c.closeCode(t); code != test.code {
					t.Errorf("close code %d, want %d", code, test.code)
				}
			}
			c.Close()
			if err := receive(t, "done", done); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestLargeMessageStreamsThroughSmallBuffers: 64 MiB go through an echo that never holds one of them, although the peer sends
// before it reads.
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
