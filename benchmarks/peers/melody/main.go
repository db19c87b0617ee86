// Command melody is an echo and broadcast server of net/http and github.com/olahol/melody, which is on top of gorilla.
//
// It has two goroutines for each connection, and a queue between them. The buffers are as large as gorilla's own defaults, those for
// writing from a pool. Its pings go out once in a quarter of an hour, so that they are not measured with the rest.
package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/olahol/melody"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(true)
	m := melody.New()
	m.Config.MaxMessageSize = peer.MaxMessage
	m.Config.PingPeriod, m.Config.PongWait = 15*time.Minute, 20*time.Minute
	m.Upgrader.ReadBufferSize, m.Upgrader.WriteBufferSize = 4096, 4096
	m.Upgrader.WriteBufferPool = new(sync.Pool)
	m.Upgrader.EnableCompression = o.Compress
	if o.Broadcast {
		m.HandleMessage(func(_ *melody.Session, b []byte) { m.Broadcast(b) })
		m.HandleMessageBinary(func(_ *melody.Session, b []byte) { m.BroadcastBinary(b) })
	} else {
		m.HandleMessage(func(s *melody.Session, b []byte) { s.Write(b) })
		m.HandleMessageBinary(func(s *melody.Session, b []byte) { s.WriteBinary(b) })
	}
	peer.ServeHTTP(o, func(w http.ResponseWriter, r *http.Request) { m.HandleRequest(w, r) })
}
