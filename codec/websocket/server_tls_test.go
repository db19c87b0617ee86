package websocket_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// TestServerOverTLS serves wss and https on one port. The page is net/http's, on a connection that
// the loop has given away with its TLS.
func TestServerOverTLS(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	certs.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	config := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: certs.TLS.Certificates}})
	if err != nil {
		t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(append([]byte("page "), b...))
	})
	s := &websocket.Server{Handler: page, Message: echo}
	eng, _ := start(t, s, engine.Config{Loops: 2})
	ln, err := engine.ListenConfig{Layer: layer.Server()}.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	c, err := wsconn.Dial(ctx, "wss://"+ln.String()+"/", &wsconn.Config{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, n := range []int{0, 1, 125, 70_000, 500_000} {
		message := bytes.Repeat([]byte("x"), n)
		if err := c.Write(ctx, websocket.Binary, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d of %d bytes, error %v", len(got), n, err)
		}
	}
	if err := c.Close(websocket.NormalClosure, ""); err != nil {
		t.Error(err)
	}

	clients, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	cl := &websocket.Client{
		TLS: func(name string) engine.Layer {
			if name != "127.0.0.1" {
				t.Errorf("the server is called %q", name)
			}
			return clients.Client("example.com")
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			got <- string(data)
			c.Close(websocket.NormalClosure, "")
		},
	}
	err = cl.Dial(ctx, eng, "wss://"+ln.String()+"/", func(c *websocket.Conn, err error) {
		if err != nil {
			t.Error(err)
			got <- ""
			return
		}
		c.Send(websocket.Text, []byte("hello"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "hello" {
		t.Errorf("%q came back", s)
	}

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	for range 3 { // on one connection
		body := bytes.Repeat([]byte("y"), 300_000)
		resp, err := client.Post("https://"+ln.String()+"/page", "text/plain", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, append([]byte("page "), body...)) {
			t.Errorf("%d bytes, error %v", len(got), err)
		}
	}
}
