// Command melody is an echo and broadcast server on net/http and github.com/olahol/melody, which is
// built on gorilla.
//
// It has two goroutines for each connection, and a queue between them. The buffers have gorilla's
// default sizes, and those for writing come from a pool. Pings are sent only every 15 minutes, so
// that they are not measured.
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
