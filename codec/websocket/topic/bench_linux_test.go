package topic_test

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// BenchmarkFanOut compares the CPU that a message to 10,000 connections costs by a Hub and by
// websocket.Broadcast, in turns, so that both find the same machine. Peers read between the
// measurements only. The kernel's part of the transfer is included: it is most of it.
func BenchmarkFanOut(b *testing.B) {
	const conns = 10_000
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); limit.Cur < 2*conns+100 {
		b.Skipf("needs %d descriptors, has %d", 2*conns+100, limit.Cur)
	}
	var h topic.Hub
	handles := make(chan websocket.Handle, conns)
	server := &websocket.Server{Open: func(c *websocket.Conn) {
		if err := h.Subscribe(c, "all"); err != nil {
			b.Error(err)
		}
		handles <- c.Handle()
	}}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		b.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()
	var peers []net.Conn
	var all []websocket.Handle
	for range conns {
		peers = append(peers, handshake(b, ln.Addr().String()))
		all = append(all, <-handles)
	}
	defer func() {
		for _, p := range peers {
			p.Close()
		}
	}()
	message := []byte(strings.Repeat("x", 64))
	each := func(yield func(websocket.Handle) bool) {
		for _, h := range all {
			if !yield(h) {
				return
			}
		}
	}
	turn := func() {
		done := make(chan struct{})
		eng.Post(0, func() { eng.Post(0, func() { close(done) }) })
		<-done
	}
	received := make([]byte, 4096)
	drain := func() {
		for _, p := range peers {
			p.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.ReadFull(p, received[:2+len(message)]); err != nil {
				b.Fatal(err)
			}
		}
	}
	measure := func(f func()) time.Duration {
		before := processCPU()
		f()
		spent := processCPU() - before
		drain()
		return spent
	}
	byHub := func() {
		target := h.Stats().Delivered + conns
		h.Publish("all", websocket.Binary, message)
		for h.Stats().Delivered < target {
			time.Sleep(200 * time.Microsecond)
		}
		turn()
	}
	byBroadcast := func() {
		websocket.Broadcast(websocket.Prepare(websocket.Binary, message), each, engine.SlowWait)
		turn()
	}
	measure(byHub)
	measure(byBroadcast)
	var hub, broadcast time.Duration
	for b.Loop() {
		hub += measure(byHub)
		broadcast += measure(byBroadcast)
	}
	n := float64(b.N) * conns
	b.ReportMetric(float64(hub)/n, "hub-ns/delivery")
	b.ReportMetric(float64(broadcast)/n, "broadcast-ns/delivery")
	b.ReportMetric(float64(hub)/float64(broadcast), "ratio")
	b.ReportMetric(0, "ns/op")
}

func processCPU() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// handshake returns a connection that has become a WebSocket.
func handshake(b *testing.B, address string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	var answer []byte
	for !strings.HasSuffix(string(answer), "\r\n\r\n") {
		one := make([]byte, 1)
		if _, err := c.Read(one); err != nil {
			b.Fatal(err)
		}
		answer = append(answer, one[0])
	}
	return c
}
