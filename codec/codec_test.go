package codec_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unsafe"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/codec/codectest"
	"github.com/myriadnet/myriad/engine"
)

var all = []struct {
	name      string
	c, larger codec.Codec // with a limit of 300, and more
	messages  [][]byte
}{
	{"line", codec.Line{Max: 300}, codec.Line{}, [][]byte{[]byte("hello"), {}, []byte("a\rb"), bytes.Repeat([]byte("x"), 300)}},
	{"delimiter", codec.Delimiter{Sequence: "||", Max: 300}, codec.Delimiter{Sequence: "||"},
		[][]byte{[]byte("a|b"), {}, bytes.Repeat([]byte("y"), 300)}},
	{"length 1", codec.LengthPrefix{Bytes: 1, Max: 200}, nil, [][]byte{{}, []byte("abc"), make([]byte, 200)}},
	{"length 2", codec.LengthPrefix{Bytes: 2, Max: 300}, codec.LengthPrefix{Bytes: 2}, [][]byte{{}, []byte("abc"), make([]byte, 300)}},
	{"length 2, little", codec.LengthPrefix{Bytes: 2, LittleEndian: true, Max: 300}, codec.LengthPrefix{Bytes: 2, LittleEndian: true}, [][]byte{[]byte("abc"), make([]byte, 256)}},
	{"length 4", codec.LengthPrefix{Max: 300}, codec.LengthPrefix{}, [][]byte{[]byte("abc"), {}, make([]byte, 300)}},
	{"length 4, little", codec.LengthPrefix{LittleEndian: true, Max: 300}, codec.LengthPrefix{LittleEndian: true}, [][]byte{[]byte("abc")}},
	{"length 8", codec.LengthPrefix{Bytes: 8, Max: 300}, codec.LengthPrefix{Bytes: 8}, [][]byte{[]byte("abc"), {}}},
	{"length 8, little", codec.LengthPrefix{Bytes: 8, LittleEndian: true, Max: 300}, codec.LengthPrefix{Bytes: 8, LittleEndian: true}, [][]byte{[]byte("abc")}},
	{"varint", codec.Varint{Max: 300}, codec.Varint{}, [][]byte{{}, []byte("abc"), make([]byte, 127), make([]byte, 128), make([]byte, 300)}},
	{"fixed", codec.Fixed{Size: 5}, nil, [][]byte{[]byte("abcde"), []byte("fghij")}},
}

func TestConformance(t *testing.T) {
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			codectest.Run(t, c.c, c.messages...)
			if c.larger != nil {
				codectest.Limit(t, c.c, c.larger, 300, 'z')
			}
		})
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name string
		c    codec.Codec
		src  string
		want []string // messages
		left int
		err  string
	}{
		{"LF and CR LF", codec.Line{}, "a\nb\r\n\r\n\nc", []string{"a", "b", "", ""}, 1, ""},
		{"line at its limit with CR", codec.Line{Max: 3}, "abc\r\n", []string{"abc"}, 0, ""},
		{"line over its limit", codec.Line{Max: 3}, "ok\nabcd\n", []string{"ok"}, 0, "limit of 3 bytes"},
		{"line without an end, over", codec.Line{Max: 3}, "abcd", nil, 0, "limit of 3 bytes"},
		{"line without an end, not over yet", codec.Line{Max: 3}, "abc\r", nil, 4, ""},
		{"delimiters that overlap", codec.Delimiter{Sequence: "aab"}, "aaab", []string{"a"}, 0, ""},
		{"no delimiter", codec.Delimiter{}, "a", nil, 0, "without a Sequence"},
		{"length of 2^63", codec.LengthPrefix{Bytes: 8}, "\x80\x00\x00\x00\x00\x00\x00\x00", nil, 0, "limit of 1048576 bytes"},
		{"length of 2^64-1", codec.LengthPrefix{Bytes: 8}, strings.Repeat("\xff", 8), nil, 0, "limit of 1048576 bytes"},
		{"length of 3 bytes", codec.LengthPrefix{Bytes: 3}, "\x00\x00\x01a", nil, 0, "want 1, 2, 4 or 8"},
		{"little endian", codec.LengthPrefix{Bytes: 2, LittleEndian: true}, "\x01\x00a", []string{"a"}, 0, ""},
		{"varint", codec.Varint{}, "\x03abc\x80", []string{"abc"}, 1, ""},
		{"varint that is too long", codec.Varint{}, "\x81\x00a", nil, 0, "shortest form"},
		{"varint that overflows", codec.Varint{}, strings.Repeat("\xff", 10) + "\x01", nil, 0, "varint of 64 bits"},
		{"varint over its limit", codec.Varint{Max: 10}, "\x0b", nil, 0, "limit of 10 bytes"},
		{"fixed", codec.Fixed{Size: 2}, "abcde", []string{"ab", "cd"}, 1, ""},
		{"fixed without a size", codec.Fixed{}, "a", nil, 0, "without a Size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			f := codec.NewFramer(&conn{}, c.c, func(_ *codec.Framer, msg []byte) error {
				got = append(got, string(msg))
				return nil
			})
			n, err := f.Feed([]byte(c.src))
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("messages %q, want %q", got, c.want)
			}
			if c.err == "" && (err != nil || len(c.src)-n != c.left) {
				t.Errorf("%d bytes are left, %v; want %d", len(c.src)-n, err, c.left)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v, want %q", err, c.err)
			}
		})
	}
}

func TestAppendRefusesWhatDecodeWouldNotGiveBack(t *testing.T) {
	for _, c := range []struct {
		name string
		c    codec.Codec
		msg  string
	}{
		{"LF in a line", codec.Line{}, "a\nb"},
		{"CR at the end of a line", codec.Line{}, "a\r"},
		{"delimiter inside", codec.Delimiter{Sequence: "ab"}, "xaby"},
		{"delimiter begins in the message", codec.Delimiter{Sequence: "aa"}, "xa"},
		{"another size", codec.Fixed{Size: 3}, "ab"},
		{"more than one byte can say", codec.LengthPrefix{Bytes: 1}, strings.Repeat("a", 256)},
		{"prefix of 3 bytes", codec.LengthPrefix{Bytes: 3}, "a"},
	} {
		if b, err := c.c.Append([]byte("dst"), []byte(c.msg)); err == nil || string(b) != "dst" {
			t.Errorf("%s: %q, %v", c.name, b, err)
		}
	}
}

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
			stream, _ = c.c.Append(stream, m)
		}
		f := codec.NewFramer(&conn{buffer: make([]byte, 0, 1024), out: make([]byte, 0, 1024)}, c.c,
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

// fuzzSplit feeds b whole and split, and wants the same messages and the same kind of end.
func fuzzSplit(t *testing.T, c codec.Codec, b []byte, cut uint16) [][]byte {
	run := func(parts ...[]byte) (got [][]byte, err error) {
		var held []byte
		f := codec.NewFramer(&conn{}, c, func(_ *codec.Framer, msg []byte) error {
			got = append(got, bytes.Clone(msg))
			return nil
		})
		for _, p := range parts {
			held = append(held, p...)
			n, err := f.Feed(held)
			if err != nil {
				return got, err
			}
			held = bytes.Clone(held[n:])
		}
		return got, nil
	}
	at := min(int(cut), len(b))
	whole, err1 := run(b)
	split, err2 := run(b[:at], b[at:])
	if fmt.Sprintf("%q", whole) != fmt.Sprintf("%q", split) || (err1 == nil) != (err2 == nil) {
		t.Fatalf("whole: %q, %v; split at %d: %q, %v", whole, err1, at, split, err2)
	}
	return whole
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a\r\nb\n"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		got := fuzzSplit(t, codec.Line{Max: 1 << 20}, b, cut)
		s := bufio.NewScanner(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1]))
		s.Buffer(nil, 1<<20)
		for i := 0; s.Scan(); i++ {
			if i >= len(got) || !bytes.Equal(got[i], s.Bytes()) {
				t.Fatalf("line %d is %q for bufio.Scanner", i, s.Bytes())
			}
		}
		fuzzSplit(t, codec.Line{Max: 5}, b, cut)
	})
}

func FuzzDelimiter(f *testing.F) {
	f.Add([]byte("a||b|||"), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		got := fuzzSplit(t, codec.Delimiter{Sequence: "||"}, b, cut)
		want := bytes.Split(b, []byte("||"))
		if len(got) != len(want)-1 {
			t.Fatalf("%d messages, bytes.Split finds %d", len(got), len(want)-1)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("message %d is %q, want %q", i, got[i], want[i])
			}
		}
		fuzzSplit(t, codec.Delimiter{Sequence: "aba", Max: 5}, b, cut)
	})
}

func FuzzSized(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		for _, n := range []int{1, 2, 4, 8} {
			fuzzSplit(t, codec.LengthPrefix{Bytes: n}, b, cut)
			fuzzSplit(t, codec.LengthPrefix{Bytes: n, LittleEndian: true, Max: 5}, b, cut)
		}
		fuzzSplit(t, codec.Fixed{Size: 3}, b, cut)
		fuzzSplit(t, codec.Varint{Max: 40}, b, cut)
		got := fuzzSplit(t, codec.LengthPrefix{Bytes: 2}, b, cut)
		for rest := b; len(rest) >= 2 && len(rest) >= 2+int(binary.BigEndian.Uint16(rest)); got = got[1:] { // the naive twin
			n := 2 + int(binary.BigEndian.Uint16(rest))
			if len(got) == 0 || !bytes.Equal(got[0], rest[2:n]) {
				t.Fatalf("message %q is missing", rest[2:n])
			}
			rest = rest[n:]
		}
		if len(got) > 0 {
			t.Fatalf("messages %q too many", got)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	for _, c := range all {
		b.Run(c.name, func(b *testing.B) {
			var stream []byte
			for _, m := range c.messages {
				stream, _ = c.c.Append(stream, m)
			}
			f := codec.NewFramer(&conn{}, c.c, func(*codec.Framer, []byte) error { return nil })
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				f.Feed(stream)
			}
		})
	}
}

func ExampleFramer() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		panic(err)
	}
	defer eng.Close()
	_, err = eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return codec.NewFramer(c, codec.Line{Max: 4096}, func(f *codec.Framer, line []byte) error {
			return f.Send(bytes.ToUpper(line))
		})
	})
	fmt.Println(err)
	// Output: <nil>
}
