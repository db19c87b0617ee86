package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// echo is a Protocol that sends back what it gets.
type echo struct{ conn *engine.Conn }

func (e *echo) Feed(src []byte) (int, error) {
	e.conn.Write(src) // an error closes the connection: Closed gets it
	return len(src), nil
}

func (e *echo) Closed(reason error) {}

// An echo server: accept returns the Protocol of each connection.
func Example() {
	e, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		c.SetIdleTimeout(time.Minute)
		return &echo{conn: c}
	})
	if err != nil {
		log.Fatal(err)
	}
	go e.Run(context.Background())
	defer e.Close()

	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	reply, err := bufio.NewReader(c).ReadString('\n')
	fmt.Print(reply, err)
	// Output:
	// hello
	// <nil>
}

// Another goroutine reaches a connection by its Handle, never by its Conn.
func ExampleHandle() {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	handles := make(chan engine.Handle, 1)
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		handles <- c.Handle()
		return &echo{conn: c}
	})
	if err != nil {
		log.Fatal(err)
	}
	go e.Run(context.Background())
	defer e.Close()

	go func() { // such as a subscription to a database
		h := <-handles
		h.Send([]byte("news for you\n"))
		h.Post(func(c *engine.Conn) { // on the loop of c
			fmt.Fprintf(c, "you are on loop %d\n", c.Loop())
			c.Close()
		})
	}()

	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Print(string(text), err)
	// Output:
	// news for you
	// you are on loop 0
	// <nil>
}

// A timer runs on the connection's loop, and ends with the connection.
func ExampleConn_AfterFunc() {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		ticks := 0
		var tick func()
		tick = func() {
			ticks++
			fmt.Fprintf(c, "tick %d\n", ticks)
			if ticks == 3 {
				c.Close()
				return
			}
			c.AfterFunc(10*time.Millisecond, tick)
		}
		tick()
		return &echo{conn: c}
	})
	if err != nil {
		log.Fatal(err)
	}
	go e.Run(context.Background())
	defer e.Close()

	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	fmt.Print(string(text), err)
	// Output:
	// tick 1
	// tick 2
	// tick 3
	// <nil>
}

// walker is one peer of a UDP game server.
type walker struct {
	session *engine.Session
	moves   int
}

func (p *walker) Datagram(b []byte) {
	p.moves++
	p.session.Write(fmt.Appendf(nil, "move %d: %s", p.moves, b))
}

func (p *walker) Closed(reason error) {} // the peer was silent for IdleTimeout

// A UDP server that keeps state for each peer.
func ExampleSessionConfig() {
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	sessions := engine.SessionConfig{IdleTimeout: 10 * time.Second, MaxSessions: 1000}
	accept := sessions.Accept(func(s *engine.Session) engine.SessionProtocol {
		return &walker{session: s}
	})
	pl, err := e.ListenPacket("udp", "127.0.0.1:0", accept)
	if err != nil {
		log.Fatal(err)
	}
	go e.Run(context.Background())
	defer e.Close()

	c, err := net.Dial("udp", pl.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	reply := make([]byte, 100)
	for _, move := range []string{"north", "east"} {
		fmt.Fprint(c, move)
		n, err := c.Read(reply)
		fmt.Println(string(reply[:n]), err)
	}
	// Output:
	// move 1: north <nil>
	// move 2: east <nil>
}

// polite says goodbye when the engine shuts down.
type polite struct{ echo }

func (p *polite) Shutdown() {
	io.WriteString(p.conn, "goodbye\n")
	p.conn.Close()
}

// Run ends in order when its context is cancelled: every connection is told, and what was written
// is sent. A program would use signal.NotifyContext.
func ExampleEngine_Run() {
	e, err := engine.New(engine.Config{Loops: 1, ShutdownTimeout: 5 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		io.WriteString(c, "welcome\n")
		return &polite{echo{conn: c}}
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()

	c, err := net.Dial("tcp", ln.String())
	if err != nil {
		log.Fatal(err)
	}
	r := bufio.NewReader(c)
	welcome, _ := r.ReadString('\n')
	cancel()
	goodbye, _ := r.ReadString('\n')
	c.Close()
	fmt.Print(welcome, goodbye)
	fmt.Println(<-done)
	// Output:
	// welcome
	// goodbye
	// <nil>
}
