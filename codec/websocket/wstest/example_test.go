package wstest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// exampleT is in the place of a test's *testing.T.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                           {}
func (t *exampleT) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (t *exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleT) Errorf(format string, args ...any) { fmt.Printf(format, args...) }

func (t *exampleT) end() {
	for i := range t.cleanups {
		t.cleanups[len(t.cleanups)-1-i]()
	}
}

// The callbacks of a websocket.Server, tested by a client that keeps the rules, until it does not.
func ExampleServe() {
	t := new(exampleT) // in a test: its *testing.T
	defer t.end()

	greeter := &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		c.Send(op, append([]byte("hello, "), data...))
	}}
	p := wstest.Dial(t, wstest.Serve(t, greeter), nil)
	p.Send(wsproto.Text, "world")
	p.Expect(wsproto.Text, "hello, world")
	p.SendFrames(
		wstest.Frame{Opcode: wsproto.Text, Payload: "the first half", More: true},
		wstest.Frame{Opcode: wsproto.Text, Payload: "which ought to be a continuation"},
	)
	fmt.Println(p.ExpectClose(wsproto.ProtocolFault))
	// Output: new message before the end of a fragmented one
}

// A client that is given a URL, tested by a scripted server.
func ExampleListen() {
	t := new(exampleT)
	defer t.end()

	subscribe := func(ctx context.Context, url string) error { // what is tested
		c, err := wsconn.Dial(ctx, url, nil)
		if err != nil {
			return err
		}
		c.Write(ctx, wsconn.Text, []byte("subscribe"))
		_, _, err = c.Read(ctx)
		return err
	}
	l := wstest.Listen(t)
	result := make(chan error, 1)
	go func() { result <- subscribe(context.Background(), l.URL) }()
	p := l.Accept(nil)
	p.Expect(wsproto.Text, "subscribe")
	p.Close(wsproto.TryAgainLater, "full")
	fmt.Println(<-result)
	// Output: websocket: closed by the peer with code 1013 "full"
}

// What works with a connection, tested without a network: every byte comes alone.
func ExampleServer() {
	t := new(exampleT)
	defer t.end()

	c, p := wstest.Server(t, nil)
	p.Split = func(left int) int { return 1 }
	p.Send(wsproto.Text, "hello")
	_, data, err := c.Read(context.Background())
	fmt.Printf("%s %v\n", data, err)
	// Output: hello <nil>
}
