//go:build linux

package main

import (
	"errors"
	"net"
	"sync"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// floor is the least that any server does which sends a message at once: write(2) of the same bytes
// for each subscriber, in a loop. It does not read, and knows no slow peers.
type floor struct {
	mu     sync.Mutex
	topics map[string][]int // descriptors
	conns  []net.Conn       // keep them open
}

func newFloor(c serverConfig) (server, error) {
	f := &floor{topics: make(map[string][]int)}
	ln, err := net.Listen("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go f.join(conn.(*net.TCPConn))
		}
	}()
	return f, nil
}

func (f *floor) join(conn *net.TCPConn) {
	var name string
	u := ws.Upgrader{OnRequest: func(uri []byte) error { name = string(uri[1:]); return nil }}
	raw, err := conn.SyscallConn()
	if err == nil {
		_, err = u.Upgrade(conn)
	}
	if err != nil {
		conn.Close()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, conn)
	raw.Control(func(fd uintptr) { f.topics[name] = append(f.topics[name], int(fd)) })
}

func (f *floor) publish(name string, data []byte) error {
	frame := ws.MustCompileFrame(ws.NewTextFrame(data))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fd := range f.topics[name] {
		if n, err := unix.Write(fd, frame); n < len(frame) {
			return errors.Join(errors.New("a subscriber does not keep up"), err)
		}
	}
	return nil
}

func (f *floor) subscriptions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}
