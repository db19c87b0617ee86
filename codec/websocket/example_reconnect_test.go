package websocket_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// feed is a connection of a client that is opened again when it has closed. At any time there is
// one connection or attempt, so its fields need no lock.
type feed struct {
	client *websocket.Client
	engine *engine.Engine
	ctx    context.Context // ends it
	url    string
	first  time.Duration // to wait before the next attempt
	wait   time.Duration // the same after some that have failed
}

func (f *feed) dial() {
	if err := f.client.Dial(f.ctx, f.engine, f.url, f.opened); err != nil {
		log.Print(err) // the URL or the Client is wrong, or the engine is ending
	}
}

func (f *feed) opened(_ *websocket.Conn, err error) {
	refused, ok := errors.AsType[*handshake.Error](err)
	switch {
	case err == nil:
		f.wait = f.first
	case ok && refused.Status/100 == 4 && refused.Status != 408 && refused.Status != 429:
		log.Print(err) // such as 401, 403 or 404: the same request is refused again
	default:
		f.again()
	}
}

// again waits ever longer, and at random, so that the clients of a server that was restarted do not
// all come at once.
func (f *feed) again() {
	pause := f.wait/2 + rand.N(f.wait)
	f.wait = min(2*f.wait, 30*time.Second)
	time.AfterFunc(pause, func() {
		if f.ctx.Err() == nil {
			f.dial()
		}
	})
}

// A client on the loops that comes back over TLS. With a ClientSessionCache it resumes its session,
// which costs the server no signature.
func ExampleClient_reconnect() {
	own := certificateFor("server")
	servers, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{own}}})
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf)
	clients, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{
		RootCAs:            roots,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}})
	if err != nil {
		log.Fatal(err)
	}
	server := &websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.Conn.Value = h.Request().TLS.DidResume },
		Open: func(c *websocket.Conn) {
			c.SendText(fmt.Sprint("resumed: ", c.Value))
			c.Close(websocket.ServiceRestart, "")
		},
	}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := engine.ListenConfig{Layer: servers.Server()}.Listen(eng, "tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	go eng.Run(context.Background())
	defer eng.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f := &feed{engine: eng, ctx: ctx, url: "wss://" + ln.String() + "/", first: time.Millisecond}
	f.wait = f.first // a second, in a real client
	messages := make(chan string, 100)
	f.client = &websocket.Client{
		TLS:     clients.Client,
		Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) { messages <- string(data) },
		Close:   func(*websocket.Conn, error) { f.again() },
	}
	f.dial()
	for range 2 {
		select {
		case m := <-messages:
			fmt.Println(m)
		case <-ctx.Done():
			fmt.Println("no message")
		}
	}
	// Output:
	// resumed: false
	// resumed: true
}
