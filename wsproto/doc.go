// Package wsproto implements the WebSocket protocol (RFC 6455, and permessage-deflate of RFC 7692)
// without I/O: bytes go in, and events and bytes come out.
//
// A connection has a Receiver, which turns the peer's bytes into events, and a Sender, which turns
// messages into frames. A Config holds what the connections of a service have in common: their role
// and their limits. The opening handshake is in package wsproto/handshake. Compression is in
// package wsproto/deflate, which a program links only if it uses it.
//
// Nothing here blocks, starts a goroutine or reads the clock. Several goroutines must not use a
// value at the same time unless its documentation allows it. The Receiver and the Sender of a
// connection share nothing: one goroutine may receive while another one sends.
package wsproto
