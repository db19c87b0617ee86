// Command nethttp is a net/http server with its WebSockets on event loops. Router and middleware
// stay as they are. A WebSocket has a goroutine until its handshake is done, and none afterwards.
//
//	nethttp -addr 127.0.0.1:8080
//	nethttp -addr 0.0.0.0:8443 -cert cert.pem -key key.pem
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	certFile := flag.String("cert", "", "PEM `file` with the certificate chain, for TLS (\"\": none)")
	keyFile := flag.String("key", "", "PEM `file` with the key of the certificate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, *certFile, *keyFile); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, loops int, certFile, keyFile string) error {
	eng, err := engine.New(engine.Config{Loops: loops, MaxOutbound: maxMessage})
	if err != nil {
		return err
	}
	ln, err := listen(eng, addr, certFile, keyFile)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: counted(routes(eng))}
	eng.OnShutdown(func(ctx context.Context) { web.Shutdown(ctx) })
	go func() {
		if err := web.Serve(ln); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	fmt.Println("nethttp: listening on", ln.Addr())
	return eng.Run(ctx)
}

// listen listens with TLS if there is a certificate. net/http's own TLS would do for the pages, but
// Upgrade can take only the connections of a tlslayer.Layer.
func listen(eng *engine.Engine, addr, certFile, keyFile string) (net.Listener, error) {
	if certFile == "" {
		return net.Listen("tcp", addr)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	l, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	if err != nil {
		return nil, err
	}
	return l.Listen(eng, engine.ListenConfig{}, "tcp", addr)
}

const maxMessage = 64 << 20

// routes has a page at /, and a WebSocket at /echo/{name}.
func routes(eng *engine.Engine) http.Handler {
	echo := &websocket.Server{
		Engine:    eng,
		Handshake: func(h *websocket.Handshake) { h.Conn.Value = h.Request().PathValue("name") },
		Open: func(c *websocket.Conn) {
			if name := c.Value.(string); name != "" {
				c.SendText("hello, " + name)
			}
		},
		Message:     func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Limits:      websocket.Limits{MaxMessage: maxMessage},
		Compression: &websocket.Compression{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "request %v; the WebSocket is at /echo/\n", r.Context().Value(number{}))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.Handle("GET /echo/{name...}", echo)
	return mux
}

// number is the key of a request's number.
type number struct{}

// counted is usual middleware: it adds to the request, and wraps the ResponseWriter.
func counted(next http.Handler) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := count.Add(1)
		w.Header().Set("X-Request", fmt.Sprint(n))
		next.ServeHTTP(writer{w}, r.WithContext(context.WithValue(r.Context(), number{}, n)))
	})
}

// writer wraps a ResponseWriter. The Server needs its Unwrap, as http.ResponseController does.
type writer struct{ http.ResponseWriter }

func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
