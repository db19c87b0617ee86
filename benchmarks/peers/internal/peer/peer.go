// Package peer has what the peers share: flags, the listener, buffers, and rooms for broadcasts.
package peer

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
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

// Options are a peer's flags.
type Options struct {
	Addr      string
	Broadcast bool // send each message to all connections instead of back
	Compress  bool // offer permessage-deflate, without context takeover
	// Cert and Key are PEM files, with which those peers serve TLS that can.
	Cert, Key string
}

// Parse parses a peer's flags. There is a flag -compress if compress is set.
func Parse(compress bool) Options {
	var o Options
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:9001", "`host:port` to listen on")
	flag.BoolVar(&o.Broadcast, "broadcast", false, "send each message to all connections instead of back")
	if compress {
		flag.BoolVar(&o.Compress, "compress", false, "offer permessage-deflate, without context takeover")
	}
	flag.StringVar(&o.Cert, "cert", "", "PEM `file` with a certificate, to serve TLS")
	flag.StringVar(&o.Key, "key", "", "PEM `file` with its key")
	flag.Parse()
	return o
}

// Listen listens, and prints the address.
func Listen(o Options) net.Listener { return listen(o, net.ListenConfig{}) }

// ListenWebSocket is Listen for clients that speak first. Connections are accepted when their
// request has arrived, or after a second: TCP_DEFER_ACCEPT of tcp(7), which wsecho uses too.
func ListenWebSocket(o Options) net.Listener {
	return listen(o, net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1)
		})
		return cmp.Or(failed, os.NewSyscallError("setsockopt", err))
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

// Secure returns ln, with crypto/tls above it if o has a certificate.
func Secure(o Options, ln net.Listener) net.Listener {
	if o.Cert == "" {
		return ln
	}
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}})
}

// ServeHTTP serves all requests by f. It does not return.
func ServeHTTP(o Options, f http.HandlerFunc) {
	server := http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	if o.Cert != "" {
		log.Fatal(server.ServeTLS(ListenWebSocket(o), o.Cert, o.Key))
	}
	log.Fatal(server.Serve(ListenWebSocket(o)))
}

// Accept calls f for each connection, on a goroutine of its own. It does not return.
func Accept(ln net.Listener, f func(*net.TCPConn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go f(c.(*net.TCPConn))
	}
}

// Room is a set of connections that receive broadcasts. The zero value is empty.
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

// Each calls f for all connections. Several goroutines may call it at the same time.
func (r *Room[C]) Each(f func(C)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for c := range r.all {
		f(c)
	}
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// Buffer returns an empty buffer from a pool. A connection should have one only while it has a
// message.
func Buffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// Free returns a buffer to the pool.
func Free(b *bytes.Buffer) {
	b.Reset()
	buffers.Put(b)
}
