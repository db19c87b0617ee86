package handshake

import (
	"bytes"
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
)

// Response is the head of an HTTP/1.1 response. What its methods return is a part of what
// ParseResponse was given, and valid as long as that is.
type Response struct {
	Status int
	fields // for its methods Fields and Header
}

// ParseResponse parses the head of a response at the beginning of src into r, and returns its size,
// or 0 if it is incomplete. It is as strict as ParseRequest; see there for scanned. An error is a
// *Error.
func ParseResponse(src []byte, scanned *uint32, r *Response, limits *wsproto.Limits) (n int, err error) {
	l := limitsOf(limits)
	if scanned == nil {
		scanned = new(uint32)
	}
	n, err = headEnd(src, scanned, l)
	if n == 0 || err != nil {
		return 0, badResponse(0, err)
	}
	line := src[:bytes.IndexByte(src[:n], '\n')+1]
	// "HTTP/1.1 101 Switching Protocols": the reason may be empty, but not the space before it (RFC
	// 9112 section 4).
	text := line[:len(line)-2]
	if len(text) < 13 || !bytes.HasPrefix(text, version) || text[8] != ' ' || text[12] != ' ' ||
		!isDigits(text[9:12]) || text[9] < '1' || !isValue(text[13:]) {
		return 0, &Error{Section: "RFC 9112 section 4", Text: fmt.Sprintf("malformed status line %.40q", text)}
	}
	r.Status = int(text[9]-'0')*100 + int(text[10]-'0')*10 + int(text[11]-'0')
	if err := r.read(src[len(line):n-2], l); err != nil {
		return 0, badResponse(r.Status, err)
	}
	return n, nil
}

// badResponse turns an error about a request into one about a response.
func badResponse(status int, err error) error {
	if h, ok := err.(*Error); ok {
		return &Error{Status: status, Section: h.Section, Text: "response: " + h.Text}
	}
	return err
}

// Accepted is what an opening handshake has agreed on.
type Accepted struct {
	Subprotocol string           // one of those offered; "": none
	Deflate     *wsproto.Deflate // nil: messages are not compressed
}

// Check verifies the server's response to the request with that key, by the rules of RFC 6455
// section 4.1. An error is an *Error.
func (o *Opening) Check(r *Response, key ClientKey) (a Accepted, err error) {
	fail := func(section, text string) (Accepted, error) {
		return Accepted{}, &Error{Status: r.Status, Section: section, Text: text}
	}
	const section = "RFC 6455 section 4.1"
	switch {
	case r.Status >= 300 && r.Status < 400:
		e := &Error{Status: r.Status, Location: string(r.Header("Location")), Section: section}
		e.Text = fmt.Sprintf("server redirects with status %d to %q", e.Status, e.Location)
		return a, e
	case r.Status != 101:
		return fail(section, fmt.Sprintf("server answers with status %d instead of 101", r.Status))
	}
	if v, n := r.only(upgradeField); n != 1 || !equalFold(v, "websocket") {
		return fail(section, "response without Upgrade: websocket")
	}
	if !r.hasToken(connectionField, "upgrade") {
		return fail(section, "response without Connection: Upgrade")
	}
	if v, n := r.only(acceptField); n != 1 || !bytes.Equal(v, appendAccept(nil, key[:])) {
		return fail(section, "Sec-WebSocket-Accept is not the answer to our key")
	}
	v, n := r.only(protocolField)
	for _, p := range o.Subprotocols {
		if n == 1 && string(v) == p {
			a.Subprotocol = p
		}
	}
	if n > 0 && a.Subprotocol == "" {
		return fail(section, fmt.Sprintf("server chose subprotocol %.40q, which was not offered", v))
	}
	a.Deflate, err = o.extensions(r)
	return a, err
}

// extensions checks what the server has accepted: nothing, or permessage-deflate once, with
// parameters that it may use (RFC 6455 section 9.1, RFC 7692 section 7.1).
func (o *Opening) extensions(r *Response) (agreed *wsproto.Deflate, err error) {
	for value := range r.values(extensionsField) {
		for more := true; more; {
			var element []byte
			element, value = cutList(value)
			more = value != nil
			if len(trim(element)) == 0 { // RFC 9110 section 5.6.1.2
				continue
			}
			answer, ok := parseOffer(element)
			fault := ""
			switch {
			case !ok || o.Deflate == nil:
				fault = fmt.Sprintf("server uses an extension that was not offered, or wrong parameters: %.80q",
					element)
			case agreed != nil:
				fault = "server uses permessage-deflate twice"
			default:
				fault = answer.exceeds(o.Deflate)
			}
			if fault != "" {
				return nil, &Error{Status: r.Status, Section: "RFC 7692 section 7.1", Text: fault}
			}
			d := answer.Deflate
			d.ClientNoContextTakeover = d.ClientNoContextTakeover || o.Deflate.ClientNoContextTakeover
			d.ClientMaxWindowBits = min(windowBits(d.ClientMaxWindowBits), windowBits(o.Deflate.ClientMaxWindowBits))
			agreed = &d
		}
	}
	return agreed, nil
}

// exceeds returns how a server's answer exceeds what the client has offered, or "".
func (o offer) exceeds(offered *wsproto.Deflate) string {
	switch {
	case offered.ServerNoContextTakeover && !o.ServerNoContextTakeover:
		return "server accepts without the server_no_context_takeover that was asked for"
	case windowBits(o.ServerMaxWindowBits) > windowBits(offered.ServerMaxWindowBits):
		return "server accepts with a larger window than was asked for"
	case o.clientBits && o.ClientMaxWindowBits == 0:
		return "client_max_window_bits without a value in a response"
	case o.clientBits && o.ClientMaxWindowBits > windowBits(offered.ClientMaxWindowBits):
		return "server allows us a larger window than we offered"
	}
	return ""
}
