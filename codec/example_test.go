package codec_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/engine"
)

// A service that answers every message with the same message in upper case, and a client. Each
// message is preceded by its length.
func Example() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	format := codec.LengthPrefix{Max: 4096}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return codec.NewFramer(c, format, func(f *codec.Framer, msg []byte) error {
			return f.Send(bytes.ToUpper(msg))
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	w, r := codec.NewWriter(conn, format), codec.NewReader(conn, format)
	for _, msg := range []string{"hello", "world"} {
		if err := w.WriteMessage([]byte(msg)); err != nil {
			log.Fatal(err)
		}
		answer, err := r.ReadMessage()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(answer))
	}
	// Output:
	// HELLO
	// WORLD
}

// The state of a connection lives in the closure of handle. An error closes the connection.
func ExampleFramer() {
	accept := func(c codec.Conn) *codec.Framer {
		lines := 0
		f := codec.NewFramer(c, codec.Line{Max: 100}, func(f *codec.Framer, line []byte) error {
			lines++
			if string(line) == "quit" {
				return io.EOF
			}
			return f.Send(fmt.Appendf(nil, "%d: %s", lines, line))
		})
		return f.OnClosed(func(_ *codec.Framer, err error) {
			fmt.Printf("closed after %d lines: %v\n", lines, err)
		})
	}

	// On a loop the engine does what follows. accept gets an *engine.Conn.
	c := &conn{}
	f := accept(c)
	f.Feed([]byte("hello\nwor"))
	fmt.Printf("%q\n", c.out)
	_, err := f.Feed([]byte("world\nquit\n"))
	fmt.Printf("%q\n", c.out)
	f.Closed(err)
	// Output:
	// "1: hello\n"
	// "2: world\n"
	// closed after 3 lines: EOF
}

func ExampleReader() {
	r := codec.NewReader(strings.NewReader("one\r\ntwo\n"), codec.Line{})
	for {
		line, err := r.ReadMessage()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", line)
	}
	// Output:
	// "one"
	// "two"
}

func ExampleWriter() {
	var stream bytes.Buffer
	w := codec.NewWriter(&stream, codec.LengthPrefix{Bytes: 2})
	for _, msg := range []string{"one", "three"} {
		if err := w.WriteMessage([]byte(msg)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%q\n", stream.String())
	// Output: "\x00\x03one\x00\x05three"
}

// show prints the frame of a message, and the message that is in the frame.
func show(c codec.Codec, msg string) {
	frame, err := c.Append(nil, []byte(msg))
	if err != nil {
		fmt.Println(err)
		return
	}
	decoded, n, _, err := c.Decode(frame, 0)
	fmt.Printf("%q in %q, %d bytes, %v\n", decoded, frame, n, err)
}

func ExampleLine() {
	c := codec.Line{Max: 10}
	show(c, "hello")
	show(c, "two\nlines")
	show(c, "much too long")
	// Output:
	// "hello" in "hello\n", 6 bytes, <nil>
	// codec: line contains LF or ends with CR
	// codec: message over the limit of 10 bytes
}

func ExampleDelimiter() {
	show(codec.Delimiter{Sequence: "||"}, "hello")
	// Output: "hello" in "hello||", 7 bytes, <nil>
}

func ExampleFixed() {
	c := codec.Fixed{Size: 5}
	show(c, "hello")
	show(c, "hi")
	// Output:
	// "hello" in "hello", 5 bytes, <nil>
	// codec: message of 2 bytes, want 5
}

func ExampleLengthPrefix() {
	show(codec.LengthPrefix{}, "hello")
	show(codec.LengthPrefix{Bytes: 2, LittleEndian: true}, "hello")
	// Output:
	// "hello" in "\x00\x00\x00\x05hello", 9 bytes, <nil>
	// "hello" in "\x05\x00hello", 7 bytes, <nil>
}

func ExampleVarint() {
	show(codec.Varint{}, "hello")
	// Output: "hello" in "\x05hello", 6 bytes, <nil>
}
