// Command nbio is a WebSocket echo and broadcast server on github.com/lesismal/nbio, in one of its
// three modes: by its pollers (nonblocking), by a goroutine per connection (blocking), or by
// goroutines up to 10,000 connections and pollers above (mixed).
//
// ReleaseWebsocketPayload gives a message's buffer back to the pool after OnMessage, as its
// documentation recommends. Whoever reads a message writes its answer (BlockingModAsyncWrite is
// off), as in its author's benchmarks. With -cert it serves TLS.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"

	"github.com/lesismal/llib/std/crypto/tls"
	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

var modes = map[string]int{
	"nonblocking": nbhttp.IOModNonBlocking,
	"blocking":    nbhttp.IOModBlocking,
	"mixed":       nbhttp.IOModMixed,
}

func main() {
	mode := flag.String("mode", "nonblocking", "nonblocking, blocking or mixed")
	o := peer.Parse(true)
	ioMode, ok := modes[*mode]
	if !ok {
		log.Fatalf("there is no mode %q", *mode)
	}
	logging.SetLevel(logging.LevelError)
	config := nbhttp.Config{
		Network: "tcp",
		Handler: handler(o),
		IOMod:   ioMode,
		NPoller: 1,
		Listen:  func(_, _ string) (net.Listener, error) { return peer.ListenWebSocket(o), nil },

		ReleaseWebsocketPayload: true,
		MaxWriteBufferSize:      64 << 20,
	}
	if o.Cert == "" {
		config.Addrs = []string{o.Addr}
	} else {
		cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			log.Fatal(err)
		}
		config.AddrsTLS = []string{o.Addr}
		config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if err := nbhttp.NewEngine(config).Start(); err != nil {
		log.Fatal(err)
	}
	select {}
}

func handler(o peer.Options) http.HandlerFunc {
	u := websocket.NewUpgrader()
	u.CheckOrigin = func(*http.Request) bool { return true }
	u.BlockingModAsyncWrite = false
	u.KeepaliveTime = 0 // no deadline to set for each message
	u.MessageLengthLimit = peer.MaxMessage
	u.EnableCompression(o.Compress)
	var room peer.Room[*websocket.Conn]
	u.OnOpen(func(c *websocket.Conn) {
		c.EnableWriteCompression(o.Compress)
		if o.Broadcast {
			room.Join(c)
		}
	})
	if o.Broadcast {
		u.OnClose(func(c *websocket.Conn, _ error) { room.Leave(c) })
		u.OnMessage(func(_ *websocket.Conn, t websocket.MessageType, b []byte) {
			room.Each(func(to *websocket.Conn) { to.WriteMessage(t, b) }) // its reader sees errors
		})
	} else {
		u.OnMessage(func(c *websocket.Conn, t websocket.MessageType, b []byte) { c.WriteMessage(t, b) })
	}
	return func(w http.ResponseWriter, r *http.Request) { u.Upgrade(w, r, nil) }
}
