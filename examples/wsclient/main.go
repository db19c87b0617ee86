// Command wsclient is a WebSocket client that sends back every message, text as text and binary as
// binary, until the server closes the connection. It is the counterpart of wsecho, for test suites
// that are servers.
//
//	wsclient -url ws://127.0.0.1:9001/runCase?case=1 -compress
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:9001/", "the server's `URL`")
	maxMessage := flag.Int("max-message", 64<<20, "largest message, in `bytes`")
	compress := flag.Bool("compress", false, "offer permessage-deflate")
	handshakeTimeout := flag.Duration("handshake-timeout", 0, "time for the opening handshake (0: the default)")
	flag.Parse()

	client := &websocket.Client{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Limits:  websocket.Limits{MaxMessage: *maxMessage, HandshakeTimeout: *handshakeTimeout},
	}
	if *compress {
		client.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true}
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *url, client); err != nil {
		fmt.Fprintln(os.Stderr, "wsclient:", err)
		os.Exit(1)
	}
}

// run echoes until the connection ends. It is not an error if the server closes it in order.
func run(ctx context.Context, url string, client *websocket.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var ended error
	client.Close = func(_ *websocket.Conn, err error) {
		ended = err
		stop()
	}
	// An echo may be as large as a message.
	eng, err := engine.New(engine.Config{Loops: 1, MaxOutbound: max(client.MaxMessage, 16<<20)})
	if err != nil {
		return err
	}
	err = client.Dial(ctx, eng, url, func(c *websocket.Conn, err error) {
		if err != nil {
			ended = err
			stop()
			return
		}
		fmt.Println("wsclient: connected to", url)
	})
	if err != nil {
		return err
	}
	if err := eng.Run(ctx); err != nil {
		return err
	}
	if errors.Is(ended, engine.ErrShutdown) { // a signal
		return nil
	}
	switch websocket.CloseStatus(ended) {
	case websocket.NormalClosure, websocket.GoingAway, websocket.NoStatus:
		return nil
	}
	return ended
}
