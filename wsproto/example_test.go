package wsproto_test

import (
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
)

// A connection has a Sender and a Receiver at each end. Here the bytes go from one to the other
// directly; a program would write them to a socket, and read them from one.
func Example() {
	client := wsproto.NewSender(&wsproto.Config{Role: wsproto.Client}, nil)
	server := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Server}, nil)
	defer server.Release()

	var wire []byte
	wire = client.Append(wire, wsproto.Text, []byte("hello"))
	wire = client.Append(wire, wsproto.Ping, nil)
	wire = client.Append(wire, wsproto.Close, wsproto.AppendClose(nil, wsproto.NormalClosure, "bye"))

	for len(wire) > 0 {
		ev, n, err := server.Next(wire)
		if err != nil {
			fmt.Println(err)
			return
		}
		wire = wire[n:]
		switch ev.Kind {
		case wsproto.EventNone: // an incomplete frame: read more, and put it behind wire
			return
		case wsproto.EventMessage:
			fmt.Printf("message: %s\n", ev.Payload)
		case wsproto.EventPing:
			fmt.Println("ping")
		case wsproto.EventClose:
			fmt.Printf("closed with code %d: %s\n", ev.Code, ev.Payload)
		}
	}
	// Output:
	// message: hello
	// ping
	// closed with code 1000: bye
}

// A server sends a large payload without copying it: the header apart, and then the payload as it
// is.
func ExampleFrame() {
	sender := wsproto.NewSender(&wsproto.Config{Role: wsproto.Server}, nil)
	file := make([]byte, 1<<20)

	f := sender.Frame(wsproto.Binary, file, true)
	header := wsproto.AppendHeader(nil, f.Header)
	fmt.Println(len(header), len(f.Payload), &f.Payload[0] == &file[0])
	// Output: 10 1048576 true
}

// A message of unknown length is sent in pieces. Control frames may be sent between them.
func ExampleSender_Frame() {
	sender := wsproto.NewSender(&wsproto.Config{Role: wsproto.Server}, nil)
	var wire []byte
	for _, piece := range []string{"one, ", "two, "} {
		f := sender.Frame(wsproto.Text, []byte(piece), false)
		wire = f.Append(wire)
	}
	wire = sender.Append(wire, wsproto.Ping, nil)
	f := sender.Frame(wsproto.Text, []byte("three"), true)
	wire = f.Append(wire)
	fmt.Printf("%q\n", wire)
	// Output: "\x01\x05one, \x00\x05two, \x89\x00\x80\x05three"
}
