// Package engine is a reactor: event loops that serve any number of connections with a handful of goroutines.
//
// An Engine has loops, by default one per processor. Each connection belongs to one loop for life, and all calls of its
// Protocol come from that loop's goroutine, one at a time; so a Protocol needs no locks for what belongs to its
// connection. What Conn offers is for the loop only; Handle is what other goroutines use.
//
// The engine knows no protocol: package codec cuts streams into messages, codec/websocket speaks WebSocket.
package engine
