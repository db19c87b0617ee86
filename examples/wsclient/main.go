// Command wsclient is a WebSocket client that sends back every message, text as text and binary as binary, until the server
// closes the connection: the counterpart of wsecho, for test suites that are servers.
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
	"github.com/myriadnet/myriad/wsproto"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:9001/", "the server's `URL`")
	defaults := websocket.Limits{}.WithDefaults()
	maxMessage := flag.Int("max-message", 64<<20, "largest message, in `bytes`")
	compress := flag.Bool("compress", false, "offer permessage-deflate")
	handshakeTimeout := flag.Duration("handshake-timeout", defaults.HandshakeTimeout, "time for the opening handshake")
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

// run echoes until the connection ends. That the server closed it in order is no error.
func run(ctx context.Context, url string, client *websocket.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var ended error
	client.Close = func(_ *websocket.Conn, err error) {
		ended = err
		stop()
	}
	// An echo may have as much to send as it was sent.
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
	var closed *websocket.CloseError
	switch {
	case errors.As(ended, &closed) && (closed.Code == wsproto.NormalClosure || closed.Code == wsproto.GoingAway || closed.Code == wsproto.NoStatus):
		return nil
	case errors.Is(ended, engine.ErrShutdown): // we were told to stop
		return nil
	}
	return ended
}
