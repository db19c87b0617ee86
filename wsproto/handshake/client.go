package handshake

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/myriadnet/myriad/wsproto"
)

// Opening is what a client asks for in its opening handshake.
type Opening struct {
	Host         string           // and the port, unless it is the scheme's own
	Target       string           // path and query; "": /
	Subprotocols []string         // that the client speaks, best first
	Deflate      *wsproto.Deflate // permessage-deflate is offered with this policy; nil: it is not
	Fields       []Field          // further header fields
}

// SetURL sets Host and Target by a URL such as ws://example.com:8080/chat?room=1 (RFC 6455 section 3). address is what to connect
// to, host and port; secure says that it is wss, for TLS.
func (o *Opening) SetURL(rawURL string) (address string, secure bool, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", false, fmt.Errorf("wsproto: %w", err)
	}
	port := "80"
	if secure = u.Scheme == "wss"; secure {
		port = "443"
	}
	if u.Scheme != "ws" && !secure || u.Hostname() == "" || u.User != nil || strings.Contains(rawURL, "#") || u.Opaque != "" {
		return "", false, fmt.Errorf("wsproto: %q is not of the form ws://host[:port][/path][?query] (RFC 6455 section 3)", rawURL)
	}
	o.Host, o.Target = u.Hostname(), escapeTarget(u.RequestURI())
	if strings.Contains(o.Host, ":") {
		ip, _, _ := strings.Cut(o.Host, "%") // a zone is ours only (RFC 6874 section 4)
		o.Host = "[" + ip + "]"
	}
	if p := u.Port(); p != "" && p != port {
		port = p
		o.Host += ":" + p
	}
	return net.JoinHostPort(u.Hostname(), port), secure, nil
}

// escapeTarget has what may not stand in a URL, such as letters beyond ASCII in a query, as percent-encoded UTF-8 (RFC 6455
// section 11.1.1).
func escapeTarget(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// ClientKey is the Sec-WebSocket-Key of a handshake: 16 bytes in base64.
type ClientKey [24]byte

// NewClientKey is a key that nobody can predict (RFC 6455 section 4.1).
func NewClientKey() (k ClientKey) {
	var nonce [16]byte
	rand.Read(nonce[:])
	base64.StdEncoding.Encode(k[:], nonce[:])
	return k
}

// AppendRequest appends a client's opening handshake (RFC 6455 section 4.1). If something must not be in a request it returns
// dst as it was and an error.
func (o *Opening) AppendRequest(dst []byte, key ClientKey) ([]byte, error) {
	target := o.Target
	if target == "" {
		target = "/"
	}
	if !isHost([]byte(o.Host)) {
		return dst, fmt.Errorf("wsproto: malformed host %q (RFC 9110 section 7.2)", o.Host)
	}
	if !isTarget([]byte(target)) {
		return dst, fmt.Errorf("wsproto: malformed request target %q (RFC 9112 section 3.2)", target)
	}
	for i, p := range o.Subprotocols {
		if !isToken([]byte(p)) {
			return dst, fmt.Errorf("wsproto: subprotocol %q is not a token (RFC 6455 section 4.1)", p)
		}
		for _, before := range o.Subprotocols[:i] {
			if p == before {
				return dst, fmt.Errorf("wsproto: subprotocol %q is offered twice (RFC 6455 section 4.1)", p)
			}
		}
	}
	for _, f := range o.Fields {
		if err := f.check(); err != nil {
			return dst, err
		}
		if equalFold([]byte(f.Name), "Host") || equalFold([]byte(f.Name), "Sec-WebSocket-Key") || equalFold([]byte(f.Name), "Sec-WebSocket-Version") {
			return dst, fmt.Errorf("wsproto: request field %s is not the application's to set (RFC 6455 section 4.1)", f.Name)
		}
	}
	dst = append(append(append(dst, "GET "...), target...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, o.Host...), "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
	dst = append(append(dst, key[:]...), "\r\n"...)
	for i, p := range o.Subprotocols {
		if i == 0 {
			dst = append(dst, "Sec-WebSocket-Protocol: "...)
		} else {
			dst = append(dst, ", "...)
		}
		dst = append(dst, p...)
	}
	if len(o.Subprotocols) > 0 {
		dst = append(dst, "\r\n"...)
	}
	if o.Deflate != nil {
		dst = append(appendOffer(append(dst, "Sec-WebSocket-Extensions: "...), *o.Deflate), "\r\n"...)
	}
	for _, f := range o.Fields {
		dst = appendField(dst, f)
	}
	return append(dst, "\r\n"...), nil
}

// appendOffer appends what a client with this policy offers. That it understands client_max_window_bits is always said, so
// that the server may ask for a small window (RFC 7692 section 7.1.2.2).
func appendOffer(dst []byte, d wsproto.Deflate) []byte {
	bits := d.ClientMaxWindowBits
	d.ClientMaxWindowBits = 0
	if d.ServerMaxWindowBits == wsproto.MaxWindowBits {
		d.ServerMaxWindowBits = 0
	}
	dst = append(AppendDeflate(dst, d), "; client_max_window_bits"...)
	if bits != 0 && bits < wsproto.MaxWindowBits {
		dst = append(dst, '=')
		dst = appendBits(dst, bits)
	}
	return dst
}

// ResponseError is why an opening handshake has failed at the client: the server's answer is not 101, or broke a rule.
type ResponseError struct {
	Status   int    // of the response; 0: it could not be read
	Location string // of a redirection, which is never followed: who wants to must Dial again
	Section  string // of which RFC
	Text     string
}

func (e *ResponseError) Error() string { return fmt.Sprintf("wsproto: %s (%s)", e.Text, e.Section) }

// Response is the head of an HTTP/1.1 response. All slices are parts of what ParseResponse was given, and valid as long as
// that is.
type Response struct {
	Status int
	fields // embedded for Fields and Header
}

// ParseResponse reads the head of a response from the beginning of src, as strictly as ParseRequest, whose result and scanned
// it has. An error is a *ResponseError.
func ParseResponse(src []byte, scanned *uint32, r *Response, limits HeadLimits) (n int, err error) {
	l := limits.withDefaults()
	n, err = headEnd(src, scanned, l)
	if n == 0 || err != nil {
		return 0, bad(0, err)
	}
	line := src[:bytes.IndexByte(src[:n], '\n')+1]
	// HTTP/1.1 101 Switching Protocols: the reason may be empty, but for the space before it (RFC 9112 section 4).
	text := line[:len(line)-2]
	if len(text) < 13 || !bytes.HasPrefix(text, version) || text[8] != ' ' || text[12] != ' ' || !isDigits(text[9:12]) ||
		text[9] < '1' || !isValue(text[13:]) {
		return 0, &ResponseError{Section: "RFC 9112 section 4", Text: fmt.Sprintf("malformed status line %.40q", text)}
	}
	r.Status = int(text[9]-'0')*100 + int(text[10]-'0')*10 + int(text[11]-'0')
	if err := r.read(src[len(line):n-2], l); err != nil {
		return 0, bad(r.Status, err)
	}
	return n, nil
}

// bad turns what ParseRequest would say of a request into what is wrong with a response.
func bad(status int, err error) error {
	if h, ok := err.(*Error); ok {
		return &ResponseError{Status: status, Section: h.Section, Text: "response: " + h.Text}
	}
	return err
}

// Accepted is what an opening handshake has agreed on.
type Accepted struct {
	Subprotocol string           // one of those offered; "": none
	Deflate     *wsproto.Deflate // nil: messages are not compressed
}

// Check is everything that a client must verify in the server's answer to its request (RFC 6455 section 4.1). An error is a
// *ResponseError.
func (o *Opening) Check(r *Response, key ClientKey) (a Accepted, err error) {
	fail := func(section, text string) (Accepted, error) {
		return Accepted{}, &ResponseError{Status: r.Status, Section: section, Text: text}
	}
	const section = "RFC 6455 section 4.1"
	switch {
	case r.Status >= 300 && r.Status < 400:
		e := &ResponseError{Status: r.Status, Location: string(r.Header("Location")), Section: section}
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
	if v, n := r.only(acceptField); n != 1 || !bytes.Equal(v, AppendAccept(nil, key[:])) {
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

// extensions checks what the server accepted of permessage-deflate: at most once, and nothing that it may not say (RFC 6455
// section 9.1, RFC 7692 section 7.1).
func (o *Opening) extensions(r *Response) (agreed *wsproto.Deflate, err error) {
	fail := func(text string) (*wsproto.Deflate, error) {
		return nil, &ResponseError{Status: r.Status, Section: "RFC 7692 section 7.1", Text: text}
	}
	for value := range r.values(extensionsField) {
		for more := true; more; {
			var element []byte
			if element, value = cutList(value); value == nil {
				more = false
			}
			if len(trim(element)) == 0 { // RFC 9110 section 5.6.1.2
				continue
			}
			answer, ok := parseOffer(element)
			switch {
			case !ok || o.Deflate == nil:
				return fail(fmt.Sprintf("server uses an extension that was not offered, or with wrong parameters: %.80q", element))
			case agreed != nil:
				return fail("server uses permessage-deflate twice")
			case o.Deflate.ServerNoContextTakeover && !answer.ServerNoContextTakeover:
				return fail("server accepts without the server_no_context_takeover that was asked for")
			case windowBits(answer.ServerMaxWindowBits) > windowBits(o.Deflate.ServerMaxWindowBits):
				return fail("server accepts with a larger window than was asked for")
			case answer.clientBits && answer.ClientMaxWindowBits == 0:
				return fail("client_max_window_bits without a value in a response")
			case answer.clientBits && answer.ClientMaxWindowBits > windowBits(o.Deflate.ClientMaxWindowBits):
				return fail("server allows us a larger window than we offered")
			}
			d := answer.Deflate
			d.ClientNoContextTakeover = d.ClientNoContextTakeover || o.Deflate.ClientNoContextTakeover
			d.ClientMaxWindowBits = min(windowBits(d.ClientMaxWindowBits), windowBits(o.Deflate.ClientMaxWindowBits))
			agreed = &d
		}
	}
	return agreed, nil
}
