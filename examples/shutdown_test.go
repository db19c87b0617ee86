package examples

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// TestSIGTERMWithTrafficInFlight sends the signal while 1,000 connections are at work. Everything
// that comes back is what was sent, in order. Nothing ends in the middle of a message. WebSocket
// peers get 1001. The port is free at once.
func TestSIGTERMWithTrafficInFlight(t *testing.T) {
	for _, name := range []string{"tcpecho", "wsecho"} {
		t.Run(name, func(t *testing.T) {
			p := run(t, name, "-addr", "127.0.0.1:0")
			const conns = 1000
			var echoed atomic.Int64
			enough := make(chan struct{})
			count := func() {
				if echoed.Add(1) == 5*conns {
					close(enough)
				}
			}
			peers := make([]net.Conn, conns)
			for i := range peers {
				if name == "wsecho" {
					peers[i] = dialWS(t, p.address, "/")
				} else {
					peers[i] = dialTCP(t, "tcp", p.address)
				}
			}
			var all sync.WaitGroup
			for _, c := range peers {
				all.Go(func() {
					if err := pingPong(c, name == "wsecho", count); err != nil {
						t.Error(err)
					}
				})
			}
			select {
			case <-enough:
			case <-time.After(patience):
				t.Fatalf("only %d messages came back", echoed.Load())
			}
			p.stop(t, syscall.SIGTERM)
			all.Wait()
			run(t, name, "-addr", p.address).stop(t, syscall.SIGTERM)
		})
	}
}

// TestSIGTERMWithDeafPeers checks that peers that neither read nor answer nor close do not keep a
// server from exiting in order.
func TestSIGTERMWithDeafPeers(t *testing.T) {
	for _, name := range []string{"tcpecho", "wsecho"} {
		t.Run(name, func(t *testing.T) {
			p := run(t, name, "-addr", "127.0.0.1:0")
			for range 10 {
				dialTCP(t, "tcp", p.address) // for wsecho a peer without a handshake
				if name == "wsecho" {
					dialWS(t, p.address, "/")
				}
			}
			full := dialTCP(t, "tcp", p.address)
			if name == "wsecho" {
				full = dialWS(t, p.address, "/")
			}
			full.SetDeadline(time.Now().Add(time.Second / 2))
			var err error
			for err == nil { // until there is no room for its echoes
				if name == "wsecho" {
					err = wsutil.WriteClientBinary(full, make([]byte, 64<<10))
				} else {
					_, err = full.Write(make([]byte, 64<<10))
				}
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

// TestSIGTERMWithHTTPPeers checks the same with HTTP peers, idle or in the middle of a request.
func TestSIGTERMWithHTTPPeers(t *testing.T) {
	const get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, requests := range map[string]string{
		"idle":                         get,
		"half a head":                  "GET /healthz HTTP/1.1\r\nHo",
		"half a head behind a request": get + "GET /healthz HTTP/1.1\r\nHo",
		"half a body":                  get + "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
		"more requests than it reads":  strings.Repeat(get, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			p := run(t, "chat", "-addr", "127.0.0.1:0")
			for range 10 {
				c := dialTCP(t, "tcp", p.address)
				io.WriteString(c, requests)
				if strings.HasPrefix(requests, get) {
					until(t, bufio.NewReaderSize(c, 16), "200 OK")
				}
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

// pingPong sends numbers and wants them back, until the server ends the connection in order.
func pingPong(c net.Conn, websocket bool, count func()) error {
	defer c.Close()
	var b [8]byte
	for i := uint64(1); ; i++ {
		binary.BigEndian.PutUint64(b[:], i)
		if websocket {
			wsutil.WriteClientBinary(c, b[:]) // an error shows when reading
			got, err := wsutil.ReadServerBinary(c)
			var closed wsutil.ClosedError
			if errors.As(err, &closed) && closed.Code == 1001 {
				return nil
			}
			if err != nil || !bytes.Equal(got, b[:]) {
				return fmt.Errorf("message %d: %x, %w", i, got, err)
			}
		} else {
			c.Write(b[:])
			var got [8]byte
			n, err := io.ReadFull(c, got[:])
			if err == io.EOF && n == 0 {
				return nil
			}
			if err != nil || got != b {
				return fmt.Errorf("message %d: %x, %w", i, got[:n], err)
			}
		}
		count()
	}
}
