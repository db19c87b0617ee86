package codec_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/engine"
)

// member is a Protocol: a Framer, with optional methods of the engine.
type member struct {
	*codec.Framer
	conn *engine.Conn
}

func newMember(c *engine.Conn) engine.Protocol {
	c.SetIdleTimeout(time.Minute)
	m := &member{conn: c}
	m.Framer = codec.NewFramer(c, codec.Line{Max: 1000}, m.line)
	return m
}

func (m *member) line(_ *codec.Framer, line []byte) error {
	return m.Send(fmt.Appendf(nil, "you said %s", line))
}

// ReadClosed implements engine.ReadCloser: the peer sends no more, but it still reads.
func (m *member) ReadClosed() {
	m.Send([]byte("that was all"))
	m.conn.CloseWith(engine.ErrPeerClosed)
}

// Idle implements engine.Idler.
func (m *member) Idle() bool {
	m.Send([]byte("you were silent for too long"))
	return false
}

// Shutdown implements engine.Shutdowner.
func (m *member) Shutdown() {
	m.Send([]byte("the server stops"))
	m.conn.CloseWith(engine.ErrShutdown)
}

// A struct that embeds a Framer adds ReadClosed, Idle and Shutdown.
func ExampleFramer_embedded() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", newMember)
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Println(lines.Text())
	}
	// Output:
	// you said hello
	// that was all
}
