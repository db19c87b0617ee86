package wsconn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestReaderStreams: the first bytes of a message are read before the last ones are sent.
func TestReaderStreams(t *testing.T) {
	for role, ends := range roles {
		for _, compressed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, p := ends(t, &wsconn.Config{Compression: &wsconn.Compression{}})
				noise := make([]byte, 60_000) // a decompressor gives out 32 KiB at a time
				rand.NewChaCha8([32]byte{}).Read(noise)
				text := fmt.Sprintf("first %x", noise)
				f := wstest.Frame{Opcode: wsproto.Text, Payload: text}
				cut := 6
				if compressed {
					f = p.Compressed(wsproto.Text, text)
					cut = len(f.Payload) / 2
				}
				p.SendFrames(
					wstest.Frame{Opcode: f.Opcode, RSV: f.RSV, Payload: f.Payload[:cut], More: true},
					wstest.Frame{Opcode: wsproto.Ping, Payload: "between"})
				op, r, err := c.Reader(t.Context())
				if err != nil || op != wsproto.Text {
					t.Fatalf("%s: %v, %v", role, op, err)
				}
				first := make([]byte, 6)
				if _, err := io.ReadFull(r, first); err != nil || string(first) != "first " {
					t.Fatalf("%s: %q, %v", role, first, err)
				}
				sent := make(chan bool)
				go func() {
					p.SendFrames(wstest.Frame{Payload: f.Payload[cut:]})
					close(sent)
				}()
				rest, err := io.ReadAll(iotest.OneByteReader(r))
				if err != nil || string(rest) != text[6:] {
					t.Errorf("%s: %d bytes, %v", role, len(rest), err)
				}
				if n, err := r.Read(first); n != 0 || err != io.EOF {
					t.Errorf("%s: after the end: %d, %v", role, n, err)
				}
				<-sent
				p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "between"})
				c.CloseNow()
			})
		}
	}
}

// TestReadAndReaderTakeTurns: whole messages and messages in pieces, left unread at any point, and
// contexts that end at any point, lose nothing else.
func TestReadAndReaderTakeTurns(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng, cuts := rand.New(rand.NewPCG(seed, 7)), rand.New(rand.NewPCG(seed, 8))
			c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
			var sending []byte
			for i := range 20 {
				f := wstest.Frame{Opcode: wsproto.Binary, Payload: string(numbered(i, rng.IntN(1+rng.IntN(30_000))))}
				if rng.IntN(2) == 0 {
					f = p.Compressed(f.Opcode, f.Payload)
				}
				k := rng.IntN(len(f.Payload) + 1)
				first, second := f, wstest.Frame{Payload: f.Payload[k:]}
				first.Payload, first.More = f.Payload[:k], true
				sending = second.Append(first.Append(sending, wsproto.Client), wsproto.Client)
			}
			p.Split = func(left int) int { time.Sleep(time.Second); return 1 + cuts.IntN(5000) }
			p.Timeout = time.Hour
			var sender sync.WaitGroup
			sender.Go(func() { p.SendRaw(sending) })

			briefly := func() context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				t.Cleanup(cancel)
				return ctx
			}
			whole := make([]byte, 0, 30_000)
			for i := 0; i < 20; {
				whole = whole[:0]
				var err error
				if rng.IntN(2) == 0 {
					var data []byte
					if _, data, err = c.Read(briefly()); err == nil {
						whole = append(whole, data...)
					}
				} else if _, r, rerr := c.Reader(briefly()); rerr != nil {
					err = rerr
				} else if rng.IntN(3) == 0 { // and leave it
					i++
					continue
				} else {
					for err == nil {
						var n int
						n, err = r.Read(whole[len(whole):cap(whole)])
						whole = whole[:len(whole)+n]
					}
					if err == context.DeadlineExceeded { // in the middle of it
						i++
						continue
					}
					if err == io.EOF {
						err = nil
					}
				}
				switch {
				case err == context.DeadlineExceeded:
				case err != nil:
					t.Fatalf("seed %d, message %d: %v", seed, i, err)
				case !isNumbered(whole, i):
					t.Fatalf("seed %d, message %d: got another of %d bytes", seed, i, len(whole))
				default:
					i++
				}
			}
			sender.Wait()
			c.CloseNow()
		})
	}
}

// TestReadAfterAReaderGivenUp before anything of the message came out, and a Reader after a Read
// given up in the middle.
func TestReadAfterAReaderGivenUp(t *testing.T) {
	for _, last := range []string{"Read", "Reader"} {
		synctest.Test(t, func(t *testing.T) {
			noise := make([]byte, 70_000)
			rand.NewChaCha8([32]byte{}).Read(noise)
			text := fmt.Sprintf("%x", noise) // a decompressor gives out 32 KiB of it at a time
			c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
			f := p.Compressed(wsproto.Text, text)
			third := len(f.Payload) / 3
			briefly := func() context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				t.Cleanup(cancel)
				return ctx
			}
			p.SendFrames(wstest.Frame{Opcode: f.Opcode, RSV: f.RSV, Payload: f.Payload[:100], More: true})
			if _, _, err := c.Reader(briefly()); err != context.DeadlineExceeded {
				t.Fatalf("Reader: %v", err)
			}
			p.SendFrames(wstest.Frame{Payload: f.Payload[100:third], More: true})
			if _, _, err := c.Read(briefly()); err != context.DeadlineExceeded {
				t.Fatalf("Read: %v", err)
			}
			go p.SendFrames(wstest.Frame{Payload: f.Payload[third:]})
			var got []byte
			var err error
			if last == "Read" {
				_, got, err = c.Read(t.Context())
			} else {
				_, got, err = readAll(t.Context(), c)
			}
			if err != nil || string(got) != text {
				t.Errorf("%s: %d bytes, %v", last, len(got), err)
			}
			c.CloseNow()
		})
	}
}

// readAll reads a message by Reader.
func readAll(ctx context.Context, c *wsconn.Conn) (wsconn.Opcode, []byte, error) {
	op, r, err := c.Reader(ctx)
	if err != nil {
		return 0, nil, err
	}
	data, err := io.ReadAll(r)
	return op, data, err
}

// TestAbandonedReaderLeavesNothing, no decompressor, when the connection ends.
func TestAbandonedReaderLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(*wsconn.Conn, *wstest.Peer){
		"CloseNow": func(c *wsconn.Conn, p *wstest.Peer) { c.CloseNow() },
		"Write": func(c *wsconn.Conn, p *wstest.Peer) {
			p.CloseNow()
			c.Write(context.Background(), wsconn.Text, nil)
		},
		"Close": func(c *wsconn.Conn, p *wstest.Peer) { c.Close(1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which panics if a goroutine is left
				c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
				f := p.Compressed(wsproto.Binary, string(sample(wsconn.Binary, 100_000)))
				f.More = true
				p.SendFrames(f)
				_, r, err := c.Reader(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
				end(c, p)
			})
		})
	}
}

// numbered is a message that can be told from others, of 8 bytes and n more.
func numbered(i, n int) []byte { return bytes.Repeat([]byte{'m', byte(i)}, 4+n/2) }

func isNumbered(b []byte, i int) bool { return len(b) >= 8 && bytes.Equal(b, numbered(i, len(b)-8)) }

// TestReaderKeepsLimits: what is over MaxMessage is refused, as it is by Read.
func TestReaderKeepsLimits(t *testing.T) {
	for _, test := range []struct {
		name   string
		frames []wstest.Frame
		code   wsconn.CloseCode
	}{
		{name: "frame", frames: []wstest.Frame{{Opcode: wsproto.Binary, Length: 1001}}, code: 1009},
		{name: "sum of frames", frames: []wstest.Frame{
			{Opcode: wsproto.Binary, Payload: strings.Repeat("x", 600), More: true}, {Length: 401}}, code: 1009},
		{name: "not text", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: "abc\xff"}}, code: 1007},
		{name: "fragments", frames: append([]wstest.Frame{{Opcode: wsproto.Binary, More: true}},
			manyFrames(1024, wstest.Frame{More: true})...), code: 1008},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := wstest.Client(t, &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 1000}})
			p.SendFrames(test.frames...)
			read := make(chan error, 1)
			go func() {
				_, r, err := c.Reader(deadline(t))
				if err == nil {
					_, err = io.Copy(io.Discard, r)
				}
				read <- err
			}()
			p.ExpectClose(test.code)
			p.CloseNow()
			var broken *wsproto.ProtocolError
			if err := <-read; !errors.As(err, &broken) || broken.Code != test.code {
				t.Error(err)
			}
		})
	}
}

func manyFrames(n int, f wstest.Frame) (frames []wstest.Frame) {
	for range n {
		frames = append(frames, f)
	}
	return frames
}

// TestOldReader: a reader of a message that the connection has left behind does not get bytes of
// another one.
func TestOldReader(t *testing.T) {
	c, p := wstest.Server(t, nil)
	p.Send(wsproto.Text, "first")
	p.Send(wsproto.Text, "second")
	p.Send(wsproto.Text, "third")
	_, old, err := c.Reader(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, data, err := c.Read(deadline(t)); err != nil || string(data) != "second" {
		t.Fatalf("%q, %v", data, err)
	}
	if n, err := old.Read(make([]byte, 10)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	_, r, err := c.Reader(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	if got, err := io.ReadAll(r); len(got) > 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after CloseNow: %q, %v", got, err)
	}
	if _, err := old.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("old reader of a closed connection: %v", err)
	}
}

// TestCloseDuringAReader: the closing handshake is done whatever is left of the message.
func TestCloseDuringAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Payload: "first", More: true})
		_, r, err := c.Reader(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		go func() { closed <- c.Close(1000, "") }()
		p.ExpectClose(1000)
		p.SendFrames(wstest.Frame{Payload: "second"}, wstest.CloseFrame(1000, ""))
		if err := <-closed; err != nil {
			t.Error(err)
		}
		var end *wsconn.CloseError
		if _, err := r.Read(make([]byte, 10)); !errors.As(err, &end) {
			t.Errorf("Read: %v", err)
		}
	})
}
