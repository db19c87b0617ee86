// Command lines is a chat for telnet and netcat: the first line is a name, the others are said to everybody.
//
//	lines -addr 127.0.0.1:7001
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os/signal"
	"sync"
	"syscall"

	"github.com/myriadnet/myriad/codec"
	"github.com/myriadnet/myriad/engine"
)

// room is everybody who has given a name. Its connections run on several loops, hence the lock.
type room struct {
	mu     sync.Mutex
	people map[engine.Handle]string
}

// accept makes the Protocol of a new connection.
func (r *room) accept(c *engine.Conn) engine.Protocol {
	name := ""
	c.Write([]byte("Welcome! What is your name?\n"))
	return codec.NewFramer(c, codec.Line{Max: 1000}, func(f *codec.Framer, line []byte) error {
		switch {
		case name != "":
			r.say(name + ": " + string(line))
		case len(line) == 0:
			return errors.New("no name")
		default:
			name = string(line)
			r.join(c.Handle(), name)
		}
		return nil
	}).OnClosed(func(*codec.Framer, error) { r.leave(c.Handle(), name) })
}

func (r *room) join(h engine.Handle, name string) {
	r.mu.Lock()
	r.people[h] = name
	r.mu.Unlock()
	r.say(name + " is here")
}

func (r *room) leave(h engine.Handle, name string) {
	r.mu.Lock()
	delete(r.people, h)
	r.mu.Unlock()
	if name != "" {
		r.say(name + " has left")
	}
}

// say sends one line to all: one task per loop. The lock keeps lines in the same order for everybody.
func (r *room) say(line string) {
	b := []byte(line + "\n")
	r.mu.Lock()
	defer r.mu.Unlock()
	engine.Each(maps.Keys(r.people), func(c *engine.Conn) { c.Write(b) })
}

func main() {
	addr := flag.String("addr", "127.0.0.1:7001", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, loops int) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	r := &room{people: make(map[engine.Handle]string)}
	ln, err := eng.Listen("tcp", addr, r.accept)
	if err != nil {
		return err
	}
	fmt.Println("lines: listening on", ln)
	return eng.Run(ctx)
}
