package codec_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/engine"
)

// client asks a server that answers each message with one message, in order.
type client struct {
	handle engine.Handle

	mu      sync.Mutex // also keeps Handle.Send in the order of waiting
	waiting []chan<- string
	err     error // why the connection ended
}

// dial connects, and returns when the client can be used.
func dial(eng *engine.Engine, addr string) (*client, error) {
	cl := new(client)
	connected := make(chan error, 1)
	err := eng.Dial(context.Background(), "tcp", addr, engine.DialConfig{},
		func(c *engine.Conn, err error) engine.Protocol {
			defer func() { connected <- err }()
			if err != nil {
				return nil
			}
			cl.handle = c.Handle()
			return codec.NewFramer(c, codec.Line{Max: 100}, cl.answered).OnClosed(cl.closed)
		})
	if err != nil {
		return nil, err
	}
	return cl, <-connected
}

// ask may be called by any goroutine but the loop's.
func (cl *client) ask(question string) (string, error) {
	answer := make(chan string, 1)
	cl.mu.Lock()
	err := cl.err
	if err == nil {
		if err = cl.handle.Send([]byte(question + "\n")); err == nil {
			cl.waiting = append(cl.waiting, answer)
		}
	}
	cl.mu.Unlock()
	if err != nil {
		return "", err
	}
	text, ok := <-answer
	if !ok {
		return "", cl.err
	}
	return text, nil
}

// answered and closed are called on the loop.
func (cl *client) answered(_ *codec.Framer, line []byte) error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if len(cl.waiting) == 0 {
		return fmt.Errorf("nobody asked for %q", line)
	}
	cl.waiting[0] <- string(line)
	cl.waiting = cl.waiting[1:]
	return nil
}

func (cl *client) closed(_ *codec.Framer, err error) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.err = err; err == nil {
		cl.err = engine.ErrClosed
	}
	for _, answer := range cl.waiting {
		close(answer)
	}
	cl.waiting = nil
}

// A client whose goroutines wait for their answers, while the connection is served by a loop.
func ExampleFramer_client() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return codec.NewFramer(c, codec.Line{Max: 100}, func(f *codec.Framer, line []byte) error {
			return f.Send([]byte(strings.ToUpper(string(line))))
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	cl, err := dial(eng, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	var group sync.WaitGroup
	for _, name := range []string{"ada", "alan"} {
		group.Go(func() {
			if answer, err := cl.ask(name); err != nil || answer != strings.ToUpper(name) {
				log.Fatal(answer, err)
			}
		})
	}
	group.Wait()
	fmt.Println(cl.ask("grace"))
	// Output: GRACE <nil>
}
