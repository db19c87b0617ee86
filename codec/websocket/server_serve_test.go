package websocket_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// startAccept is start for what is not a Server.
func startAccept(t testing.TB, accept func(*engine.Conn) engine.Protocol) (address string) {
	t.Helper()
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(context.Background()) }()
	t.Cleanup(func() {
		eng.Close()
		<-done
	})
	return ln.String()
}

func TestListenAndServe(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := (&websocket.Server{}).ListenAndServe(t.Context(), address); err == nil {
		t.Fatal("listens on an address in use")
	}
	free.Close()
	for name, serve := range map[string]func(context.Context, string) error{
		"Server": (&websocket.Server{Message: echo}).ListenAndServe,
		"Mux":    (&websocket.Mux{Servers: map[string]*websocket.Server{"/": {Message: echo}}}).ListenAndServe,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- serve(ctx, address) }()
			until(t, "server that listens", func() bool {
				c, err := net.Dial("tcp", address)
				if err == nil {
					c.Close()
				}
				return err == nil
			})
			c := dial(t, address)
			c.ask(t, ws.OpText, "hello")
			cancel()
			if code, _ := c.closeCode(t); code != ws.StatusGoingAway {
				t.Error(code)
			}
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, ""))))
			if err := receive(t, "end", done); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestServeHTTP(t *testing.T) {
	s := &websocket.Server{Message: echo,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "a page") })}
	s.Engine, _ = start(t, s, engine.Config{Loops: 1})
	mux := http.NewServeMux()
	mux.Handle("/ws", s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: mux}
	go web.Serve(ln)
	defer web.Close()
	address := ln.Addr().String()
	c := connect(t, address, "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	io.WriteString(c, openingRequest("/ws"))
	c.response(t, 101)
	c.ask(t, ws.OpText, "hello")
	defer func() {
		if recover() == nil {
			t.Error("a Server without an Engine serves")
		}
	}()
	(&websocket.Server{}).ServeHTTP(nil, nil)
}
