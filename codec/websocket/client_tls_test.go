package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// TestClientThatOffersHTTP2: a server that spoke HTTP/2 got a request of HTTP/1.1, and the client
// an error that nobody understood.
func TestClientThatOffersHTTP2(t *testing.T) {
	eng, _ := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	cl := &websocket.Client{TLS: layer.Client}
	err = cl.Dial(t.Context(), eng, "wss://127.0.0.1:1/", func(*websocket.Conn, error) { t.Error("opened is called") })
	if err == nil || !strings.Contains(err.Error(), "leave h2 out of NextProtos") {
		t.Errorf("error %v", err)
	}
}

// TestClientWithoutLayer: with a function TLS that returned nil, what a URL with wss was meant to
// hide went out in plain text.
func TestClientWithoutLayer(t *testing.T) {
	eng, _ := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	cl := &websocket.Client{TLS: func(string) engine.Layer { return nil }}
	err := cl.Dial(t.Context(), eng, "wss://user:secret@127.0.0.1:1/", func(*websocket.Conn, error) {
		t.Error("opened is called")
	})
	if err == nil || !strings.Contains(err.Error(), "no layer") {
		t.Errorf("error %v", err)
	}
}

// TestClientContextInTLSHandshake: neither the end of Dial's context nor HandshakeTimeout ended a
// handshake of TLS that the server did not answer.
func TestClientContextInTLSHandshake(t *testing.T) {
	eng, _ := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{}, HandshakeTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("nobody wants it any more")
	for _, c := range []struct {
		timeout time.Duration
		want    error
	}{{-1, cause}, {50 * time.Millisecond, context.DeadlineExceeded}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		opened := make(chan error, 1)
		cl := &websocket.Client{TLS: layer.Client, Limits: websocket.Limits{HandshakeTimeout: c.timeout}}
		url := "wss://" + silent.Addr().String() + "/"
		err = cl.Dial(ctx, eng, url, func(_ *websocket.Conn, err error) { opened <- err })
		if err != nil {
			t.Fatal(err)
		}
		nc, err := silent.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Read(make([]byte, 1)); err != nil { // the ClientHello
			t.Fatal(err)
		}
		if c.want == cause {
			cancel(cause)
		}
		select {
		case err := <-opened:
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("HandshakeTimeout %v: opened is not called", c.timeout)
		}
	}
}
