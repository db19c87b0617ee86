// Package websocket has WebSocket servers and clients on the engine: it binds package wsproto, which knows RFC 6455 and does no
// I/O, to package engine, which does I/O and knows no protocol.
//
//	srv := websocket.Server{
//		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
//	}
//	eng, _ := engine.New(engine.Config{})
//	eng.Listen("tcp", ":8080", srv.Accept)
//	eng.Run(ctx)
//
// A Server, or a Client, checks everything that RFC 6455 has a rule for: the opening handshake, frames, UTF-8, fragments, close
// codes. What breaks a rule is answered with the HTTP status or close code that the RFC names, and reported to Close.
//
// Requests that are no opening handshake go to Server.Handler, on the same port. Server.Upgrade is for handshakes that come to
// another server of net/http. docs/websocket.md in the repository is the guide, with all limits in one table.
//
// A connection that blocks, without an engine, is in package wsconn; what tests need is in package wstest.
package websocket
