// Package websocket implements WebSocket servers and clients on event loops. It joins package
// wsproto, which implements RFC 6455 and does no I/O, with package engine, which does I/O and knows
// no protocol.
//
//	server := &websocket.Server{
//		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
//	}
//	err := server.ListenAndServe(ctx, ":8080")
//
// A Server is used by giving its Accept to an engine, by ListenAndServe, or by calling Upgrade in a
// handler of net/http. A Mux serves several Servers on one port. A Client opens connections.
//
// A Conn belongs to its loop: use it in callbacks only, and do not block there. Other goroutines
// use the connection's Handle, which is safe to keep. Handle.SendWait and Conn.Stream are for
// goroutines that must not outrun the peer.
//
// Servers and Clients check everything that RFC 6455 has a rule for: the opening handshake, frames,
// UTF-8, fragments, close codes. A peer that breaks a rule is answered with the HTTP status or the
// close code that the RFC names, and the rule is the error that the callback Close gets. All Limits
// are on from the start.
//
// The guide docs/websocket.md in the repository has recipes, and a table of all limits. Blocking
// connections, without an engine, are in package wsconn. Package wstest helps with tests.
package websocket
