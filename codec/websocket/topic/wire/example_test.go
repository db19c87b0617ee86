package wire_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
)

// A server for browsers: a feed that everybody may read, and rooms that its users write to.
func Example() {
	hub := &topic.Hub{
		Options: func(name string) topic.Options {
			if strings.HasPrefix(name, "room/") {
				return topic.Options{History: 100, Presence: true}
			}
			return topic.Options{Last: true, Conflate: true} // the newest only
		},
	}
	topics := &wire.Endpoint{
		Hub: hub,
		Publish: func(c *websocket.Conn, name string, _ websocket.Opcode, data []byte) ([]byte, error) {
			user, ok := c.Value.(string)
			if !ok || !strings.HasPrefix(name, "room/") {
				return nil, &wire.Error{Code: wire.CodeForbidden, Text: "log in first"}
			}
			return fmt.Appendf(nil, "%s: %s", user, data), nil
		},
	}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /topics.js", wire.ServeScript)
	server := &websocket.Server{
		Subprotocols: topics.Subprotocols(),
		Message:      topics.Message,
		Handler:      pages,
	}
	hub.Publish("feed", websocket.Text, []byte("it begins"))

	ctx, cancel := context.WithCancel(context.Background())
	cancel() // for this example
	fmt.Println(server.ListenAndServe(ctx, "127.0.0.1:0"))
	// Output: <nil>
}
