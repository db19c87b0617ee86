package handshake_test

import (
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// A client asks, a server accepts, and the client verifies the response. Here the bytes go from one
// to the other directly; a program would write them to a socket, and read them from one.
func Example() {
	opening := handshake.Opening{Subprotocols: []string{"chat"}, Deflate: &wsproto.Deflate{}}
	address, _, err := opening.SetURL("ws://example.com/rooms?name=go")
	if err != nil {
		fmt.Println(err)
		return
	}
	key := handshake.NewClientKey()
	request, err := opening.AppendRequest(nil, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("connect to", address)

	response := serve(request)

	var r handshake.Response
	n, err := handshake.ParseResponse(response, nil, &r, nil)
	if n == 0 || err != nil { // 0 without an error: read more
		fmt.Println(n, err)
		return
	}
	accepted, err := opening.Check(&r, key)
	fmt.Println("agreed on", accepted.Subprotocol, accepted.Deflate != nil, err)
	// Output:
	// connect to example.com:80
	// GET /rooms for example.com
	// agreed on chat true <nil>
}

// serve returns the response to an opening handshake.
func serve(request []byte) []byte {
	var r handshake.Request
	n, err := handshake.ParseRequest(request, nil, &r, nil)
	if n == 0 && err == nil {
		return nil // read more
	}
	var key []byte
	if err == nil {
		fmt.Printf("%s %s for %s\n", r.Method, r.Path, r.Host)
		key, err = r.CheckUpgrade()
	}
	if err == nil {
		err = r.CheckOrigin(nil)
	}
	subprotocols, subprotocol := []string{"chat"}, -1
	if err == nil {
		subprotocol, err = r.Subprotocol(subprotocols)
	}
	if refused, ok := err.(*handshake.Error); ok {
		response, _ := handshake.AppendHTTP(nil, refused.Status, nil, refused.Error(), true)
		return response
	}
	chosen := ""
	if subprotocol >= 0 {
		chosen = subprotocols[subprotocol]
	}
	var deflate *wsproto.Deflate
	if d, ok := r.Deflate(wsproto.Deflate{ServerNoContextTakeover: true}); ok {
		deflate = &d
	}
	response, _ := handshake.AppendResponse(nil, key, chosen, deflate, nil)
	return response
}
