//go:build linux

package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// slowPath is the path of a subscriber to the first topic that does not keep up.
const slowPath = "/slow"

// smallBuffer is what a connection may have in the process and in the kernel, with
// serverConfig.small. Linux doubles the latter.
const smallBuffer = 4 << 10

// hub is the Hub of package topic.
type hub struct {
	topic.Hub
	slow atomic.Pointer[websocket.Handle]
	most struct {
		sync.Mutex
		held
	}
}

func newHub(c serverConfig) (server, error) {
	h := &hub{}
	h.Options = func(string) topic.Options { return topic.Options{Conflate: c.conflate} }
	return h, listen(c, func(conn *websocket.Conn, path string) {
		name := path[1:]
		if path == slowPath {
			name = topicName(0)
			handle := conn.Handle()
			h.slow.Store(&handle)
		}
		if err := h.Subscribe(conn, name); err != nil {
			conn.Close(websocket.PolicyViolation, err.Error())
		}
	})
}

func (h *hub) publish(name string, data []byte) error { return h.Publish(name, websocket.Text, data) }

func (h *hub) subscriptions() int { return h.Stats().Subscriptions }

// watch looks at what is held for the slow subscriber now, if there is one.
func (h *hub) watch() {
	slow := h.slow.Load()
	if slow == nil {
		return
	}
	slow.Post(func(c *websocket.Conn) {
		raw, err := c.EngineConn().SyscallConn()
		if err != nil {
			return
		}
		unsent := 0
		raw.Control(func(fd uintptr) { unsent, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		h.most.Lock()
		defer h.most.Unlock()
		h.most.Queue = max(h.most.Queue, c.EngineConn().Outbound())
		h.most.Kernel = max(h.most.Kernel, unsent)
	})
}

func (h *hub) mostHeld() held {
	h.most.Lock()
	defer h.most.Unlock()
	return h.most.held
}

// broadcast is websocket.Broadcast to a list per topic.
type broadcast struct {
	mu     sync.Mutex
	topics map[string][]websocket.Handle
	count  int
}

func newBroadcast(c serverConfig) (server, error) {
	b := &broadcast{topics: make(map[string][]websocket.Handle)}
	return b, listen(c, func(conn *websocket.Conn, path string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.topics[path[1:]] = append(b.topics[path[1:]], conn.Handle())
		b.count++
	})
}

func (b *broadcast) publish(name string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return websocket.Broadcast(websocket.Prepare(websocket.Text, data), slices.Values(b.topics[name]), engine.SlowWait)
}

func (b *broadcast) subscriptions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// listen starts an engine and calls opened with each connection and the path that it asked for.
func listen(c serverConfig, opened func(conn *websocket.Conn, path string)) error {
	var ec engine.Config
	var lc engine.ListenConfig
	if c.small {
		ec.HighWater, lc.WriteBuffer = smallBuffer, smallBuffer
	}
	eng, err := engine.New(ec)
	if err != nil {
		return err
	}
	s := &websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.Conn.Value = string(h.Raw.Path) },
		Open:      func(conn *websocket.Conn) { opened(conn, conn.Value.(string)) },
	}
	if _, err := lc.Listen(eng, "tcp", c.addr, s.Accept); err != nil {
		return err
	}
	go eng.Run(context.Background())
	return nil
}
