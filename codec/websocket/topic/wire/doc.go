// Package wire lets browsers and programs subscribe and publish to the topics of a Hub. It has a
// small protocol, in JSON and in binary, the server's side of it, and clients in JavaScript and Go.
//
//	topics := &wire.Endpoint{Hub: &hub}
//	server := &websocket.Server{
//		Subprotocols: topics.Subprotocols(),
//		Message:      topics.Message,
//	}
//
// A client subscribes to topics by their names, with the position of the last message that it has
// if it comes back. It gets the messages of its topics with their positions, is told of gaps and of
// who is present, and may publish if Endpoint.Publish lets it. The encoding is agreed on by the
// subprotocol. ServeScript serves the client for browsers, and Client is that for Go programs.
//
// The guide docs/topics.md has the layout of each message, with examples. Programs with a protocol
// of their own use the Hub alone.
package wire
