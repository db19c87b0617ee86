// Package wsconn is a WebSocket connection that blocks, over any net.Conn, in both roles: for tests and tools, and for handlers of
// net/http that stay on their goroutine. It is the state machine of package wsproto, as package websocket is on the
// engine's loops; there is no engine here.
//
//	c, err := wsconn.Dial(ctx, "wss://example.com/chat", nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close(wsproto.NormalClosure, "")
//	if err := c.Write(ctx, wsconn.Text, []byte("hello")); err != nil {
//		return err
//	}
//	op, data, err := c.Read(ctx)
//
// A server's connections come from Upgrade, inside an http.Handler, or from Server, over what a net.Listener accepts.
//
// No goroutine belongs to a connection: what is to be done is done by whoever calls a method. A context that can end has a
// function waiting for that (context.AfterFunc), once for all calls in a row that have this context. A connection keeps a
// buffer of 4 KiB, a message that is being received up to Config.MaxMessage besides, and a window for each direction in which
// context takeover was agreed on.
//
// For tests of what uses this package there is package wstest.
package wsconn
