package websocket_test

import (
	"bytes"
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

// TestSendFrom: what a reader gives is one message, however it gives it; then the next message
// follows.
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
				client := &websocket.Client{Compression: compression,
					Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { got <- string(data) }}
				if o := open(t, client, eng, "ws://"+address); o.err != nil {
					t.Fatal(o.err)
				}
				if first, second := receive(t, "message", got),
					receive(t, "message", got); first != string(test.want) || second != "afterwards" {
					t.Errorf("messages of %d bytes and then of %d", len(first), len(second))
				}
				if err := receive(t, "done", done); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestSendFromWaitsForASlowPeer: it reads no further than the peer does, and goes on when that goes
// on.
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

// counted gives so many bytes, and counts them.
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

// TestSendFromEnds with the connection, and a reader that fails ends the connection; no goroutine
// stays.
func TestSendFromEnds(t *testing.T) {
	broken := errors.New("the disk is on fire")
	before := runtime.NumGoroutine()
	for _, test := range []struct {
		name string
		r    io.Reader
		want error
		code ws.StatusCode
	}{
		{"the reader fails", io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(broken)), broken,
			ws.StatusInternalServerError},
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

type badReader struct{}

func (badReader) Read([]byte) (int, error) { panic("boom in Read") }

// TestSendFromReaderThatPanics costs its connection; it ended the process.
func TestSendFromReaderThatPanics(t *testing.T) {
	done, closed := make(chan error, 1), make(chan error, 1)
	s := &websocket.Server{Open: func(c *websocket.Conn) {
		if err := c.SendFrom(websocket.Binary, badReader{}, func(err error) { done <- err }); err != nil {
			t.Error(err)
		}
	}, Close: func(_ *websocket.Conn, err error) { closed <- err }}
	eng, address := start(t, s, engine.Config{Loops: 1})
	dial(t, address)
	var p *engine.PanicError
	if err := receive(t, "done", done); !errors.As(err, &p) || p.Value != "boom in Read" {
		t.Errorf("done: %v", err)
	}
	if err := receive(t, "Close", closed); !errors.As(err, &p) || !strings.Contains(string(p.Stack), "badReader") {
		t.Errorf("Close: %v", err)
	}
	if s, err := eng.Stats(t.Context()); s.Panics != 1 || err != nil {
		t.Errorf("%d panics, %v", s.Panics, err)
	}
}

// TestSendFromOfAReadThatDoesNotReturn: after runtime.Goexit in Read neither done nor the peer
// heard of an end; panic(nil) was read from for ever.
func TestSendFromOfAReadThatDoesNotReturn(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	for name, leave := range map[string]func(){"Goexit": runtime.Goexit, "panic(nil)": func() { panic(nil) }} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
				c.SendFrom(websocket.Binary, readerFunc(func([]byte) (int, error) { leave(); return 0, nil }),
					func(err error) { done <- err })
			}}, engine.Config{Loops: 1})
			c := dial(t, address)
			if err := receive(t, "done", done); err == nil {
				t.Error("no error")
			}
			if code, _ := c.closeCode(t); code != ws.StatusInternalServerError {
				t.Errorf("close code %d", code)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// TestSendFromOfADownloadThatIsCut: io.ErrUnexpectedEOF, which the body of an http.Response ends
// with if the server is gone, was taken for the end of the message. So the peer got half of it as
// all.
func TestSendFromOfADownloadThatIsCut(t *testing.T) {
	for _, size := range []int{0, 5, 32 << 10, 40 << 10} {
		done := make(chan error, 1)
		_, address := start(t, &websocket.Server{Open: func(c *websocket.Conn) {
			c.SendFrom(websocket.Binary, io.MultiReader(strings.NewReader(strings.Repeat("x", size)),
				iotest.ErrReader(io.ErrUnexpectedEOF)), func(err error) { done <- err })
		}}, engine.Config{Loops: 1})
		c := dial(t, address)
		if code, _ := c.closeCode(t); code != ws.StatusInternalServerError {
			t.Errorf("%d bytes: close code %d", size, code)
		}
		if err := receive(t, "done", done); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
