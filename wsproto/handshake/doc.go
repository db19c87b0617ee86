// Package handshake is the opening handshake of WebSocket (RFC 6455 section 4) without any I/O:
// HTTP/1.1 heads go in and come out as bytes.
//
// A server parses with ParseRequest, checks with Request.CheckUpgrade and answers with
// AppendResponse or AppendHTTP. A client asks with Opening.AppendRequest and judges the answer with
// ParseResponse and Opening.Check.
package handshake
