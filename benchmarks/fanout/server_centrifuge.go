//go:build linux

package main

import (
	"bytes"
	"context"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

// centrifugeNode is a node of Centrifuge with its memory engine and its JSON protocol.
type centrifugeNode struct{ *centrifuge.Node }

func newCentrifuge(c serverConfig) (server, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, done centrifuge.SubscribeCallback) {
			done(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		CheckOrigin: func(*http.Request) bool { return true },
	})
	return &centrifugeNode{node}, serveHTTP(c.addr, handler)
}

func (n *centrifugeNode) publish(name string, data []byte) error {
	_, err := n.Publish(name, data)
	return err
}

func (n *centrifugeNode) subscriptions() int { return n.Hub().NumSubscriptions() }

// centrifugeSubscribe is what a client sends to connect and to subscribe to a topic.
func centrifugeSubscribe(name string) []byte {
	return []byte(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + name + `"}}`)
}

// centrifugePing is what such a client gets as a ping, and answers with.
const centrifugePing = "{}"

// isCentrifugePing reports whether a line of data is a ping.
func isCentrifugePing(data []byte) bool {
	return bytes.HasPrefix(data, []byte(centrifugePing)) || bytes.Contains(data, []byte("\n"+centrifugePing))
}
