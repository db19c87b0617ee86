package codec_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/engine"
)

// conn is a connection in memory.
type conn struct {
	out    []byte
	buffer []byte
	paused bool
}

func (c *conn) Write(b []byte) (int, error) {
	c.out = append(c.out[:0], b...)
	return len(b), nil
}
func (c *conn) AvailableBuffer() []byte { return c.buffer[:0] }
func (c *conn) Yield() bool             { return c.paused }

func TestFramerStops(t *testing.T) {
	c := &conn{}
	boom := errors.New("boom")
	var got []string
	f := codec.NewFramer(c, codec.Line{}, func(_ *codec.Framer, msg []byte) error {
		got = append(got, string(msg))
		switch string(msg) {
		case "pause":
			c.paused = true
		case "fail":
			return boom
		}
		return nil
	})
	if n, err := f.Feed([]byte("pause\nmore\nfail\nnever\n")); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	c.paused = false
	if n, err := f.Feed([]byte("more\nfail\nnever\n")); n != 10 || err != boom || len(got) != 3 {
		t.Fatal(n, err, got)
	}
	var reason error
	f.OnClosed(func(_ *codec.Framer, err error) { reason = err }).Closed(boom)
	if reason != boom || f.Conn() != codec.Conn(c) {
		t.Fatal(reason)
	}
	if f.Send([]byte("a\nb")) == nil {
		t.Fatal("Send frames what cannot be framed")
	}
	if n := unsafe.Sizeof(*f); n > 64 {
		t.Fatalf("a Framer is %d bytes", n)
	}
}

func TestFramingDoesNotAllocate(t *testing.T) {
	for _, c := range all {
		var stream []byte
		for _, m := range c.messages {
			stream, _ = c.codec.Append(stream, m)
		}
		f := codec.NewFramer(&conn{buffer: make([]byte, 0, 1024), out: make([]byte, 0, 1024)}, c.codec,
			func(f *codec.Framer, msg []byte) error { return f.Send(msg) })
		if n := testing.AllocsPerRun(100, func() {
			if n, err := f.Feed(stream); n != len(stream) || err != nil {
				t.Fatal(n, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// lineServer echoes lines by the engine.
func lineServer(t testing.TB) net.Conn {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return codec.NewFramer(c, codec.Line{}, func(f *codec.Framer, line []byte) error { return f.Send(line) })
	})
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(context.Background())
	t.Cleanup(func() { eng.Close() })
	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLineEchoDoesNotAllocate(t *testing.T) {
	c := lineServer(t)
	msg, got := []byte("a line of text\r\n"), make([]byte, 15)
	if n := testing.AllocsPerRun(1000, func() {
		c.Write(msg)
		io.ReadFull(c, got)
	}); n != 0 || string(got) != "a line of text\n" {
		t.Fatalf("%v allocations per line, %q", n, got)
	}
}

func BenchmarkFramer(b *testing.B) {
	for _, c := range all {
		b.Run(c.name, func(b *testing.B) {
			var stream []byte
			for _, m := range c.messages {
				stream, _ = c.codec.Append(stream, m)
			}
			f := codec.NewFramer(&conn{}, c.codec, func(*codec.Framer, []byte) error { return nil })
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				f.Feed(stream)
			}
		})
	}
}

// TestReplacedFramerLeavesTheRest: a Framer that replaces itself, by another protocol on the same
// connection, took the messages behind that for its own.
func TestReplacedFramerLeavesTheRest(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		lengths := codec.NewFramer(c, codec.LengthPrefix{Max: 100}, func(f *codec.Framer, msg []byte) error {
			c.Write([]byte("length: " + string(msg) + "\n"))
			return nil
		})
		return codec.NewFramer(c, codec.Line{Max: 100}, func(f *codec.Framer, msg []byte) error {
			c.Write([]byte("line: " + string(msg) + "\n"))
			if string(msg) == "lengths" {
				c.SetProtocol(lengths)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- eng.Run(context.Background()) }()
	defer func() {
		eng.Close()
		<-ran
	}()
	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	input := []byte("hello\nlengths\n")
	for _, msg := range []string{"a\nb", "c"} {
		if input, err = (codec.LengthPrefix{Max: 100}).Append(input, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	c.Write(input)
	c.(*net.TCPConn).CloseWrite()
	out, err := io.ReadAll(c)
	if want := "line: hello\nline: lengths\nlength: a\nb\nlength: c\n"; string(out) != want || err != nil {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}
