package handshake

import (
	"bytes"
	"fmt"
	"net/textproto"

	"github.com/myriadnet/myriad/wsproto"
)

// Response is the head of an HTTP/1.1 or HTTP/1.0 response. What its methods return is a part of
// what ParseResponse was given, and valid as long as that is.
type Response struct {
	Status int
	HTTP10 bool // HTTP/1.0, which cannot accept an opening handshake
	fields      // for its methods Fields and Header
}

// ParseResponse parses the head of a response at the beginning of src into r, and returns its size,
// or 0 if it is incomplete. Its fields must keep the same rules as those of a request; see
// ParseRequest, also for scanned. An error is an *Error.
func ParseResponse(src []byte, scanned *uint32, r *Response, limits *wsproto.Limits) (n int, err error) {
	l := limitsOf(limits)
	if scanned == nil {
		scanned = new(uint32)
	}
	n, err = headEnd(src, scanned, l)
	if n == 0 && err == nil {
		return 0, nil
	}
	line, _, _ := bytes.Cut(src, lineFeed)
	if !r.parseStatus(bytes.TrimSuffix(line, carriageReturn)) && err == nil {
		return 0, &Error{Section: "RFC 9112 section 4",
			Text: fmt.Sprintf("malformed status line %.40q", bytes.TrimSuffix(line, carriageReturn))}
	}
	if err == nil {
		err = r.read(src[len(line)+1:n-2], l)
	}
	if err != nil {
		return 0, badResponse(r.Status, err)
	}
	return n, nil
}

var carriageReturn, lineFeed = []byte("\r"), []byte("\n")

// parseStatus parses a status line such as "HTTP/1.1 101 Switching Protocols". The reason may be
// empty, and the space before it missing, as many servers send it.
func (r *Response) parseStatus(line []byte) (ok bool) {
	r.Status = 0
	if len(line) < 12 || !bytes.HasPrefix(line, version[:7]) || !isDigits(line[7:8]) || line[8] != ' ' ||
		!isDigits(line[9:12]) || line[9] < '1' {
		return false
	}
	if reason := line[12:]; len(reason) > 0 && (reason[0] != ' ' || !isValue(reason)) {
		return false
	}
	r.HTTP10 = line[7] == '0'
	r.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	return true
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
	case r.Status != 101:
		return a, o.refused(r)
	case r.HTTP10:
		return fail("RFC 9110 section 7.8", "status 101 in HTTP/1.0, which has no Upgrade")
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

// refused returns the error for a response with another status than 101.
func (o *Opening) refused(r *Response) *Error {
	e := &Error{Status: r.Status, Section: "RFC 6455 section 4.1", Header: make(textproto.MIMEHeader)}
	for name, value := range r.Fields() {
		e.Header.Add(string(name), string(value))
	}
	e.Text = fmt.Sprintf("server answers with status %d instead of 101", r.Status)
	if r.Status >= 300 && r.Status < 400 {
		e.Text = fmt.Sprintf("server redirects with status %d to %s", r.Status, quoteURL(e.Header.Get("Location")))
	}
	return e
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
