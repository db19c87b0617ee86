// Package peer has what the peers have in common: flags, the listener, buffers, and who is there to be told.
package peer

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// MaxMessage is the largest message that a peer accepts, in bytes.
const MaxMessage = 4 << 20

// Options are what a peer is told on its command line.
type Options struct {
	Addr      string
	Broadcast bool // every message goes to all connections, rather than back
	Compress  bool // permessage-deflate is offered, without context takeover
}

// Parse reads the flags of a peer, of which -compress is there if it can.
func Parse(compress bool) Options {
	var o Options
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:9001", "`host:port` to listen on")
	flag.BoolVar(&o.Broadcast, "broadcast", false, "send every message to all connections, rather than back")
	if compress {
		flag.BoolVar(&o.Compress, "compress", false, "offer permessage-deflate, without context takeover")
	}
	flag.Parse()
	return o
}

// Listen listens, and says so on stdout.
func Listen(o Options) net.Listener { return listen(o, net.ListenConfig{}) }

// ListenWebSocket is Listen for clients that speak first: they are accepted when their request has come, after a second at the
// latest. That is TCP_DEFER_ACCEPT of tcp(7), as wsecho has it.
func ListenWebSocket(o Options) net.Listener {
	return listen(o, net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		failed := c.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1))
		})
		return cmp.Or(failed, err)
	}})
}

func listen(o Options, lc net.ListenConfig) net.Listener {
	ln, err := lc.Listen(context.Background(), "tcp", o.Addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: listening on %v\n", filepath.Base(os.Args[0]), ln.Addr())
	return ln
}

// ServeHTTP serves every request by f, for good.
func ServeHTTP(o Options, f http.HandlerFunc) {
	server := http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(ListenWebSocket(o)))
}

// Accept calls f for every connection, on a goroutine of its own.
func Accept(ln net.Listener, f func(*net.TCPConn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go f(c.(*net.TCPConn))
	}
}

// Room is everybody who is to be told what anybody says. The zero value is empty.
type Room[C comparable] struct {
	mu  sync.RWMutex
	all map[C]struct{}
}

// Join adds c.
func (r *Room[C]) Join(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[C]struct{})
	}
	r.all[c] = struct{}{}
}

// Leave removes c.
func (r *Room[C]) Leave(c C) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, c)
}

// Each calls f for everybody, which may be called by several goroutines at the same time.
func (r *Room[C]) Each(f func(C)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for c := range r.all {
		f(c)
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Buffer returns an empty buffer, which is held only while a message is in it: who waits for one has none.
func Buffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// Free takes a buffer back.
func Free(b *bytes.Buffer) {
	b.Reset()
	buffers.Put(b)
}
