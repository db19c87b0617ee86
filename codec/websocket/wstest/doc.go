// Package wstest helps to test WebSocket clients and servers. It has scripted peers, which can
// break the rules, and connections in memory.
//
// A Peer sends what a test says: messages, single frames with any header fields, or raw bytes, cut
// into pieces anywhere. It also checks what it receives. If that is not what the test expects, or
// breaks a rule of RFC 6455 or RFC 7692, the test fails with a message that describes both.
//
//	func TestGreeter(t *testing.T) {
//		p := wstest.Dial(t, wstest.Serve(t, &greeter), nil) // greeter is a websocket.Server
//		p.Send(wsproto.Text, "world")
//		p.Expect(wsproto.Text, "hello, world")
//		p.SendFrames(wstest.Frame{Opcode: wsproto.Text, Payload: "\xff"})
//		p.ExpectClose(wsproto.InvalidPayload)
//	}
//
// How to get a Peer depends on what is tested:
//
//   - For a websocket.Server, call Serve, and Dial with the URL that it returns.
//   - For an http.Handler, call httptest.NewServer and Dial. In memory, call NewPipeListener,
//     http.Server.Serve and Connect.
//   - For a client that gets a URL, call Listen and Listener.Accept.
//   - For code that uses a wsconn.Conn, call Client or Server, which return one with a Peer at the
//     other end. Pipe returns two such connections without a Peer.
//
// Connections in memory work with testing/synctest, so that tests of timeouts take no time.
package wstest
