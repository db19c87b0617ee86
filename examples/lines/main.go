// Command lines is a chat for telnet and netcat. The first line of a connection is a name. Every
// other line goes to everyone.
//
//	lines -addr 127.0.0.1:7001
//	lines -addr 0.0.0.0:7443 -cert cert.pem -key key.pem
package main

import (
	"context"
	"crypto/tls"
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
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// room has all people who have given a name. They are on several loops, so it has a lock.
type room struct {
	mu     sync.Mutex
	people map[engine.Handle]string
}

// accept returns the Protocol of a new connection. Its state is in the variables of the closures.
func (r *room) accept(c *engine.Conn) engine.Protocol {
	name := ""
	c.Write([]byte("Welcome! What is your name?\n"))
	return codec.NewFramer(c, codec.Line{Max: 1000}, func(f *codec.Framer, line []byte) error {
		switch {
		case name != "":
			r.say(name + ": " + string(line))
		case len(line) == 0:
			return errors.New("no name") // closes the connection
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

// say sends a line to everyone, with one task per loop. The lock is held meanwhile, so that
// everyone sees the lines in the same order.
func (r *room) say(line string) {
	b := []byte(line + "\n")
	r.mu.Lock()
	defer r.mu.Unlock()
	engine.Each(maps.Keys(r.people), func(c *engine.Conn) { c.Write(b) })
}

func main() {
	addr := flag.String("addr", "127.0.0.1:7001", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	certFile := flag.String("cert", "", "PEM `file` with the certificate chain, for TLS (\"\": none)")
	keyFile := flag.String("key", "", "PEM `file` with the key of the certificate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	layer, err := secured(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, *addr, *loops, layer); err != nil {
		log.Fatal(err)
	}
}

// secured returns the layer for TLS with a certificate from files; nil without one.
func secured(certFile, keyFile string) (engine.Layer, error) {
	if certFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	l, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{pair},
	}})
	if err != nil {
		return nil, err
	}
	return l.Server(), nil
}

func run(ctx context.Context, addr string, loops int, layer engine.Layer) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	r := &room{people: make(map[engine.Handle]string)}
	ln, err := engine.ListenConfig{Layer: layer}.Listen(eng, "tcp", addr, r.accept)
	if err != nil {
		return err
	}
	fmt.Println("lines: listening on", ln)
	return eng.Run(ctx)
}
