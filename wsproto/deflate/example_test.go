package deflate_test

import (
	"fmt"
	"strings"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// A server compresses a message for a client. Both have agreed on the parameters in the opening
// handshake: see handshake.Request.Deflate.
func Example() {
	compression := deflate.Compression{Level: 6, ServerTakeover: true}
	agreed := compression.Policy(0)
	compressor := deflate.New(compression)

	server := wsproto.NewSender(&wsproto.Config{Role: wsproto.Server, Compressor: compressor}, &agreed)
	client := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client, Compressor: compressor}, &agreed)
	defer client.Release()

	message := []byte(strings.Repeat("tick 12345 price 678.90; ", 100))
	for range 2 {
		wire := server.Append(nil, wsproto.Text, message)
		ev, _, err := client.Next(wire)
		fmt.Println(len(wire) < 100, string(ev.Payload) == string(message), err)
	}
	// Output:
	// true true <nil>
	// true true <nil>
}
