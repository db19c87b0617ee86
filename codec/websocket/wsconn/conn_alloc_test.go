package wsconn_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// endless is a client that sends one message again and again, and takes everything.
type endless struct {
	net.Conn
	next, message []byte
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.next)
	if e.next = e.next[n:]; len(e.next) == 0 {
		e.next = e.message
	}
	return n, nil
}

func (e *endless) Write(p []byte) (int, error) { return len(p), nil }

// TestNoAllocationPerMessage, received or sent, whatever the context.
func TestNoAllocationPerMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("pools lose things on purpose under the race detector")
	}
	cancelable, cancel := context.WithCancel(t.Context())
	defer cancel()
	a, _ := wstest.NetPipe()
	text := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, test := range []struct {
		name   string
		config *wsconn.Config
		offer  []string
		ctx    context.Context
		size   int
	}{
		{name: "small", ctx: context.Background(), size: 100},
		{name: "in the buffer", ctx: cancelable, size: 4000},
		{name: "large", ctx: cancelable, size: 100_000},
		{name: "compressed", ctx: cancelable, size: 1000, config: &wsconn.Config{Compression: &wsconn.Compression{}},
			offer: []string{"Sec-WebSocket-Extensions: permessage-deflate"}},
	} {
		protocol, agreed := wsproto.Config{Role: wsproto.Client}, (*wsproto.Deflate)(nil)
		if test.offer != nil {
			protocol.Compressor, agreed = deflate.New(deflate.Compression{}), new(wsproto.Deflate)
		}
		sender := wsproto.NewSender(&protocol, agreed)
		client := &endless{Conn: a, next: []byte(request("", test.offer...)),
			message: sender.Append(nil, wsproto.Binary, text[:test.size])}
		c, err := wsconn.Server(context.Background(), client, test.config)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(200, func() {
			op, data, err := c.Read(test.ctx)
			if err != nil || len(data) != test.size {
				t.Fatalf("%d bytes, %v", len(data), err)
			}
			if err := c.Write(test.ctx, op, data); err != nil {
				t.Fatal(err)
			}
		})
		if n >= 1 {
			t.Errorf("%s: %v allocations per message", test.name, n)
		}
	}
}
