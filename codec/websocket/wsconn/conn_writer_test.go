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
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestWriter: however a message is written, it arrives as one, plain and compressed, between other
// messages.
func TestWriter(t *testing.T) {
	for name, compression := range map[string]*wsconn.Compression{
		"plain":    nil,
		"deflate":  {Threshold: 1},
		"takeover": {Threshold: 1, ServerTakeover: true, ClientTakeover: true},
	} {
		for role, ends := range roles {
			t.Run(name+" "+role, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				c, p := ends(t, &wsconn.Config{Compression: compression})
				for _, size := range []int{0, 1, 100, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000, 300_000} {
					want := sample(wsconn.Text, size)
					sent := make(chan error, 1)
					go func() {
						w, err := c.Writer(deadline(t), wsconn.Text)
						for rest := want; err == nil && len(rest) > 0; {
							k := 1 + rng.IntN(min(len(rest), 1+rng.IntN(100_000)))
							_, err = w.Write(rest[:k])
							rest = rest[k:]
						}
						if err == nil {
							err = w.Close()
						}
						if err == nil {
							err = c.Write(deadline(t), wsconn.Binary, want)
						}
						sent <- err
					}()
					p.Expect(wsproto.Text, string(want))
					p.Expect(wsproto.Binary, string(want))
					if err := <-sent; err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// TestWriterFrames: small writes are gathered, and a small message is one frame, compressed from
// the threshold on.
func TestWriterFrames(t *testing.T) {
	c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{Threshold: 100}})
	for _, test := range []struct {
		writes, size int
		frames       []int // their sizes
	}{
		{writes: 0, frames: []int{0}},
		{writes: 99, size: 1, frames: []int{99}},
		{writes: 1000, size: 20, frames: []int{16384, 3616}},
		{writes: 1, size: 150_000, frames: []int{65536, 65536, 18928, 0}},
	} {
		noise := make([]byte, test.size) // it gets no smaller
		rand.NewChaCha8([32]byte{}).Read(noise)
		go func() {
			w, err := c.Writer(deadline(t), wsconn.Binary)
			for range test.writes {
				if _, err := w.Write(noise); err != nil {
					t.Error(err)
				}
			}
			if err := errors.Join(err, w.Close(), w.Close()); err != nil {
				t.Error(err)
			}
			if n, err := w.Write(noise[:0]); err == nil {
				t.Errorf("Write after Close: %d, %v", n, err)
			}
		}()
		for i, size := range test.frames {
			f := p.Frame()
			first, last, small := i == 0, i == len(test.frames)-1, len(test.frames) == 1
			if first != (f.Opcode == wsproto.Binary) || last == f.More || small && len(f.Payload) != size ||
				len(f.Payload) > size+100 {
				t.Errorf("%d × %d, frame %d: %d bytes, %v…", test.writes, test.size, i, len(f.Payload), f.Opcode)
			}
		}
	}
}

// TestWriterLetsControlFramesThrough, and nothing else.
func TestWriterLetsControlFramesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: 10 * time.Second}})
		p.Timeout = time.Minute
		ended := reading(t.Context(), c)
		w, err := c.Writer(t.Context(), wsconn.Text)
		if err != nil {
			t.Fatal(err)
		}
		first, second := strings.Repeat("1", 20_000), strings.Repeat("2", 20_000)
		io.WriteString(w, first)
		if f := p.Frame(); f.Payload != first || !f.More {
			t.Fatalf("%v", f)
		}
		other := make(chan error, 1)
		go func() { other <- c.Write(t.Context(), wsconn.Text, []byte("other")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Write(ctx, wsconn.Text, nil); err != context.DeadlineExceeded {
			t.Errorf("another message: %v", err)
		}
		if _, err := c.Writer(ctx, wsconn.Text); err != context.DeadlineExceeded {
			t.Errorf("another Writer: %v", err)
		}
		p.Send(wsproto.Ping, "?")
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "?"})
		p.ExpectFrame(emptyPing) // of keepalive
		p.Send(wsproto.Pong, "")
		io.WriteString(w, second)
		if f := p.Frame(); f.Payload != second || !f.More || f.Opcode != wsproto.Continuation {
			t.Errorf("%v", f)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		p.ExpectFrame(wstest.Frame{})
		p.Expect(wsproto.Text, "other")
		if err := <-other; err != nil {
			t.Error(err)
		}
		p.Close(1000, "")
		<-ended
	})
}

// TestWriterAndItsContext: a message of which nothing was sent does no harm, also not to those
// after it; one that was sent in part is the end.
func TestWriterAndItsContext(t *testing.T) {
	compression := &wsconn.Compression{Threshold: 1, ServerTakeover: true, ClientTakeover: true}
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Compression: compression})
		briefly, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		text := []byte(strings.Repeat("a message that was not sent, ", 10))
		w, err := c.Writer(briefly, wsconn.Text)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(text)
		time.Sleep(2 * time.Second)
		if err := w.Close(); err != context.DeadlineExceeded {
			t.Errorf("nothing was sent: %v", err)
		}
		if err := w.Close(); err != context.DeadlineExceeded {
			t.Errorf("second Close: %v", err)
		}
		noise := make([]byte, 64<<10-64)
		rand.NewChaCha8([32]byte{}).Read(noise)
		// it fills the pipe but for some bytes
		if err := c.WritePlain(t.Context(), wsconn.Binary, noise); err != nil {
			t.Fatal(err)
		}
		filler := wstest.Frame{Opcode: wsproto.Pong, Payload: strings.Repeat("x", 58)}.Append(nil, wsproto.Server)
		c.Underlying().Write(filler)
		for _, write := range []func(context.Context) error{
			func(ctx context.Context) error { return c.Write(ctx, wsconn.Text, text) },
			func(ctx context.Context) error {
				w, err := c.Writer(ctx, wsconn.Text)
				if err != nil {
					return err
				}
				w.Write(text)
				return w.Close()
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := write(ctx); err != context.DeadlineExceeded {
				t.Errorf("the pipe is full: %v", err)
			}
			cancel()
		}
		p.Expect(wsproto.Binary, string(noise))
		if err := c.Write(t.Context(), wsconn.Text, text); err != nil {
			t.Error(err)
		}
		p.Expect(wsproto.Text, string(text)) // it refers to no message that was not sent
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if w, err = c.Writer(ctx, wsconn.Binary); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(noise); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		err = w.Close()
		if !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded {
			t.Errorf("half was sent: %v", err)
		}
		if again := c.Write(t.Context(), wsconn.Text, nil); again != err {
			t.Errorf("afterwards: %v", again)
		}
	})
}

// TestWriterAndTheEnd: writers, and those that wait for them, hear of the end of the connection.
func TestWriterAndTheEnd(t *testing.T) {
	for name, end := range map[string]func(*wsconn.Conn, *wstest.Peer){
		"CloseNow": func(c *wsconn.Conn, p *wstest.Peer) { c.CloseNow() },
		"Close": func(c *wsconn.Conn, p *wstest.Peer) {
			go c.Close(1000, "")
			p.ExpectClose(1000)
			p.SendFrames(wstest.CloseFrame(1000, ""))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, p := wstest.Server(t, nil)
			w, err := c.Writer(t.Context(), wsconn.Binary)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(make([]byte, 20_000)); err != nil {
				t.Fatal(err)
			}
			p.Frame()
			other := make(chan error)
			go func() { other <- c.Write(t.Context(), wsconn.Text, nil) }()
			synctest.Wait()
			end(c, p)
			want := net.ErrClosed
			if err := <-other; name == "CloseNow" && !errors.Is(err, want) || err == nil {
				t.Errorf("%s: a message that waits: %v", name, err)
			}
			if _, err := w.Write(make([]byte, 20_000)); err == nil {
				t.Errorf("%s: Write: no error", name)
			}
			if err := w.Close(); err == nil {
				t.Errorf("%s: Close: no error", name)
			}
			if _, err := c.Writer(t.Context(), wsconn.Binary); err == nil {
				t.Errorf("%s: another Writer: no error", name)
			}
		})
	}
	c, _ := wstest.Server(t, nil)
	if _, err := c.Writer(deadline(t), wsproto.Ping); err == nil {
		t.Error("a message with the opcode of a ping")
	}
}

// TestManyStreams: messages of several Writers and Readers do not mix.
func TestManyStreams(t *testing.T) {
	client, server := wstest.Pipe(t, &wsconn.Config{Compression: &wsconn.Compression{ClientTakeover: true}})
	const writers, each = 4, 20
	for k := range writers {
		go func() {
			for range each {
				w, err := client.Writer(deadline(t), wsconn.Binary)
				if err == nil {
					_, err = io.Copy(w, bytes.NewReader(bytes.Repeat([]byte{byte(k)}, 90_000)))
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for i := range writers * each {
		_, r, err := server.Reader(deadline(t))
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || len(data) != 90_000 || bytes.Count(data, data[:1]) != len(data) {
			t.Fatal(fmt.Errorf("message %d of %d bytes: %w", i, len(data), err))
		}
	}
}
