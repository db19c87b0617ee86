// Package wstest is for tests of what speaks WebSocket: a client and a server without a network, and a scripted peer that does what
// real ones do not let themselves be brought to.
//
// A Peer sends what the script says: messages, single frames whose header fields are freely chosen, against the rules if need be, or
// bytes, cut into pieces anywhere. It says what it expects, and ends the test with a message that says what came instead. What the tested
// end sends must keep the rules of RFC 6455 and RFC 7692; package wsproto judges that.
//
//	func TestGreeter(t *testing.T) {
//		p := wstest.Dial(t, wstest.Serve(t, &greeter), nil) // greeter is a websocket.Server
//		p.Send(wsproto.Text, "world")
//		p.Expect(wsproto.Text, "hello, world")
//		p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Payload: "\xff"})
//		p.ExpectClose(wsproto.InvalidPayload)
//	}
//
// What is tested, and how to get at its other end:
//
//   - a websocket.Server: Serve, and Dial of its URL; or Dial of any server
//   - an http.Handler with wsconn.Upgrade or websocket.Server.Upgrade: httptest.NewServer, and Dial of its URL; or, in memory,
//     NewPipeListener, http.Server.Serve, and Connect
//   - any client that is given a URL: Listen, and Listener.Accept
//   - what works with a wsconn.Conn: Client or Server, which make one with a Peer at its other end, or Pipe, which makes two
//
// Connections in memory wait in a way that testing/synctest knows of, so that tests of timeouts need not last.
package wstest
