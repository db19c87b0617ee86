package wstest

import (
	"context"
	"errors"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/wsproto"
)

// pipeURL is the URL that clients in memory ask for.
const pipeURL = "ws://pipe/"

// Pipe returns both ends of an open connection in memory, which lasts until the test ends. config
// is for both ends, and may be nil.
func Pipe(t testing.TB, config *wsconn.Config) (client, server *wsconn.Conn) {
	t.Helper()
	a, b := NetPipe()
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	failed := make(chan error, 1)
	go func() {
		var err error
		server, err = wsconn.Server(context.Background(), b, config)
		failed <- err
	}()
	client, err := wsconn.Client(context.Background(), a, pipeURL, config)
	if err := errors.Join(err, <-failed); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// Client returns a client's connection in memory, and the scripted server at its other end, which
// agrees to all that config asks for. config may be nil.
func Client(t testing.TB, config *wsconn.Config) (*wsconn.Conn, *Peer) {
	t.Helper()
	a, b := NetPipe()
	var client *wsconn.Conn
	failed := make(chan error, 1)
	go func() {
		var err error
		client, err = wsconn.Client(context.Background(), a, pipeURL, config)
		failed <- err
	}()
	answer := new(Answer)
	if config != nil && len(config.Subprotocols) > 0 {
		answer.Subprotocol = config.Subprotocols[0]
	}
	if config != nil && config.Compression != nil {
		answer.Deflate = new(wsproto.Deflate)
	}
	p := Accept(t, b, answer)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return client, p
}

// Server returns a server's connection in memory, and the scripted client at its other end, which
// asks for all that config accepts. config may be nil.
func Server(t testing.TB, config *wsconn.Config) (*wsconn.Conn, *Peer) {
	t.Helper()
	a, b := NetPipe()
	var server *wsconn.Conn
	failed := make(chan error, 1)
	go func() {
		var err error
		server, err = wsconn.Server(context.Background(), a, config)
		failed <- err
	}()
	o := new(Offer)
	if config != nil {
		o.Subprotocols = config.Subprotocols
		if config.Compression != nil {
			o.Deflate = new(wsproto.Deflate)
		}
	}
	p := Connect(t, b, pipeURL, o)
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return server, p
}
