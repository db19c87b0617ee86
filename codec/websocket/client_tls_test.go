package websocket_test

import (
	"crypto/tls"
	"strings"
	"testing"

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
