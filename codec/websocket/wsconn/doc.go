// Package wsconn has WebSocket connections that block, for clients and servers, over any net.Conn.
// It needs no engine: use it in tools and tests, and in handlers of net/http that keep their
// goroutine. For very many connections there is package websocket, whose connections need no
// goroutine.
//
//	c, err := wsconn.Dial(ctx, "wss://example.com/chat", nil)
//	if err != nil {
//		return err
//	}
//	defer c.CloseNow()
//	if err := c.Write(ctx, wsconn.Text, []byte("hello")); err != nil {
//		return err
//	}
//	op, data, err := c.Read(ctx)
//	...
//	return c.Close(wsconn.NormalClosure, "")
//
// Dial makes a client's connection, and Client does so over an existing net.Conn. A server's
// connections come from Upgrade in an http.Handler, or from Server over what a net.Listener
// accepts.
//
// # Reading and writing
//
// A goroutine should always be reading from a connection, because only reading answers the peer's
// pings and notices that the peer has closed or vanished. Call CloseRead if no messages are
// expected.
//
// Read returns whole messages, and Write sends them. Reader and Writer are for messages that should
// not be held in memory. ReadJSON and WriteJSON are for JSON. NetConn turns the connection into a
// net.Conn for protocols that know nothing of WebSocket.
//
// # Silent peers
//
// When a goroutine has waited Limits.IdleTimeout for a peer, the connection sends a ping. If
// nothing comes within Limits.PongTimeout after that, the connection ends with ErrPongTimeout. Both
// are 45 s by default. Nobody needs to call Ping. Time in which no goroutine is reading does
// not count, so a slow reader does not lose its connection.
//
// # Contexts and errors
//
// The end of a context makes a call return, but does not by itself end the connection: the next
// Read goes on where the last one has stopped. Only a message that was sent in part cannot be taken
// back. After any other error the connection has ended, and all calls return the same error.
// CloseStatus tells a closing handshake from other ends.
//
// # Resources
//
// A connection has no goroutine, unless CloseRead starts one. It has a buffer of 4 KiB, at most
// Limits.MaxMessage bytes of a message that is being received, and a compression window for each
// direction in which context takeover was agreed on.
//
// Package wstest helps to test programs that use this package.
package wsconn
