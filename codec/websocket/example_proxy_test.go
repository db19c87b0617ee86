package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// An HTTP proxy on the same machine tells the client's address in X-Forwarded-For, which clients
// can send as well: of several addresses only the last one is the proxy's word. Limits per address,
// and RemoteAddr, go by it.
func Example_behindAProxy() {
	url, stop := serve((&websocket.Server{
		Proxies:       &websocket.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		MaxPerAddress: 2,
		Open:          func(c *websocket.Conn) { fmt.Println(c.RemoteAddr().Addr(), "is connected") },
		Refused:       func(r websocket.Refusal) { fmt.Println(r.RemoteAddr.Addr(), r.Status) },
	}).Accept)
	defer stop()

	connect := func(client string) *wsconn.Conn { // as the proxy does
		c, err := wsconn.Dial(context.Background(), url, &wsconn.Config{
			Header: http.Header{"X-Forwarded-For": {"198.51.100.1, " + client}}})
		if err != nil {
			return nil
		}
		return c
	}
	defer connect("192.0.2.1").CloseNow()
	defer connect("192.0.2.1").CloseNow()
	connect("192.0.2.1")
	defer connect("192.0.2.2").CloseNow()
	// Output:
	// 192.0.2.1 is connected
	// 192.0.2.1 is connected
	// 192.0.2.1 429
	// 192.0.2.2 is connected
}

// HAProxy in TCP mode (send-proxy-v2), or a load balancer that sends the PROXY protocol, tells the
// client's address before everything else, also before TLS.
func Example_proxyProtocol() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	lc := engine.ListenConfig{
		MaxPerAddress: 100,
		Proxy:         &engine.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32")}},
	}
	if _, err := lc.Listen(eng, "tcp", "127.0.0.1:0", server.Accept); err != nil {
		log.Fatal(err)
	}
	// Until a signal, say.
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := eng.Run(ctx); err != nil {
		log.Fatal(err)
	}
}
