package websocket_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine/quota"
)

// proxies are the addresses that the proxy connects from.
var proxies = netip.MustParsePrefix("127.0.0.0/8")

// forwarded returns the address of the client behind the proxy. Only the proxy's word counts, and
// of several addresses only the last one: it is the one that the proxy has added.
func forwarded(h *websocket.Handshake) netip.Addr {
	peer := h.Conn.RemoteAddr().Addr()
	if !proxies.Contains(peer) { // anybody can send the field
		return peer
	}
	all := strings.Join(h.Request().Header.Values("X-Forwarded-For"), ",")
	last := strings.TrimSpace(all[strings.LastIndexByte(all, ',')+1:])
	client, err := netip.ParseAddr(last)
	if err != nil {
		return peer
	}
	return client
}

// Behind a proxy all clients have the proxy's address, so the limits per address are off, and the
// program counts by the address that the proxy tells. What Handshake has taken is given back when
// the connection ends, however that comes about.
func Example_behindAProxy() {
	connections := quota.Limiter{MaxPerClient: 2}
	url, stop := serve((&websocket.Server{
		MaxHandshakesPerAddress: -1,
		MaxHTTPPerAddress:       -1,
		Handshake: func(h *websocket.Handshake) {
			held, err := connections.Acquire(quota.Prefix(forwarded(h)))
			if err != nil {
				h.ResponseHeader().Set("Retry-After", "10")
				h.Refuse(http.StatusTooManyRequests, "too many connections\n")
				return
			}
			context.AfterFunc(h.Conn.Context(), func() { connections.Release(held) })
		},
		Refused: func(websocket.Refusal) {},
	}).Accept)
	defer stop()

	connect := func(client string) *wsconn.Conn { // as the proxy does
		c, err := wsconn.Dial(context.Background(), url, &wsconn.Config{
			Header: http.Header{"X-Forwarded-For": {"198.51.100.1, " + client}}})
		if err != nil {
			fmt.Println(client, status(err))
			return nil
		}
		fmt.Println(client, "is connected")
		return c
	}
	first := connect("192.0.2.1")
	defer connect("192.0.2.1").CloseNow()
	connect("192.0.2.1")
	defer connect("192.0.2.2").CloseNow()

	if err := first.Close(wsconn.NormalClosure, ""); err != nil {
		log.Fatal(err)
	}
	for connections.Used() > 2 { // the server gives it back a moment later
		time.Sleep(time.Millisecond)
	}
	defer connect("192.0.2.1").CloseNow()
	// Output:
	// 192.0.2.1 is connected
	// 192.0.2.1 is connected
	// 192.0.2.1 429
	// 192.0.2.2 is connected
	// 192.0.2.1 is connected
}
