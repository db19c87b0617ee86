package topic

import "github.com/myriadnet/myriad/codec/websocket"

// Format makes what subscribers are sent. Its methods may be called from any goroutine. Each
// appends to dst and returns the result; a nil result sends nothing. A message is formatted once
// for all subscribers with the same Format, which must be comparable. The methods must not call the
// Hub. If Message panics, that is logged, and the subscribers have a gap.
type Format interface {
	// Opcode is that of what the other methods return.
	Opcode() websocket.Opcode
	// Message formats a message.
	Message(dst []byte, topic string, m *Message) []byte
	// Subscribed is sent first: messages after at follow.
	Subscribed(dst []byte, topic string, at Position) []byte
	// Gap tells of messages that the subscriber has missed.
	Gap(dst []byte, topic string, g Gap) []byte
	// Present tells of members that have joined or left a topic with Presence.
	Present(dst []byte, topic string, joined, left []Member) []byte
}
