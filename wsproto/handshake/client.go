package handshake

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/myriadnet/myriad/wsproto"
)

// Opening is what a client asks for in its opening handshake.
type Opening struct {
	Host         string   // with the port, unless that is the default of the scheme
	Target       string   // path and query; "" stands for /
	Subprotocols []string // that the client speaks, best first
	// offered parameters of permessage-deflate; nil: it is not offered
	Deflate *wsproto.Deflate
	Fields  []Field // further header fields
}

// SetURL sets Host and Target from a URL such as ws://example.com:8080/chat?room=1 (RFC 6455
// section 3). It returns the host and port to connect to, and whether the scheme is wss, which
// means TLS. A user and password in the URL become an Authorization field (RFC 7617), unless Fields
// has one already. No error has the password in its text.
func (o *Opening) SetURL(rawURL string) (address string, secure bool, err error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		if strings.Contains(rawURL, "@") { // parts of a password may be anywhere in the error
			return "", false, errors.New("websocket: malformed URL with a user")
		}
		return "", false, fmt.Errorf("websocket: %w", err)
	}
	port := "80"
	if secure = u.Scheme == "wss"; secure {
		port = "443"
	}
	if u.Scheme != "ws" && !secure || u.Hostname() == "" || u.Opaque != "" || strings.Contains(rawURL, "#") {
		const form = "ws://host[:port][/path][?query] (RFC 6455 section 3)"
		return "", false, fmt.Errorf("websocket: %s is not of the form %s", quoteURL(rawURL), form)
	}
	o.Host, o.Target = u.Hostname(), escapeTarget(u.RequestURI())
	if strings.Contains(o.Host, ":") {
		ip, _, _ := strings.Cut(o.Host, "%") // a zone is not sent (RFC 6874 section 4)
		o.Host = "[" + ip + "]"
	}
	if p := u.Port(); p != "" && p != port {
		port = p
		o.Host += ":" + p
	}
	if u.User != nil {
		o.authorize(u.User)
	}
	return net.JoinHostPort(u.Hostname(), port), secure, nil
}

// authorize adds an Authorization field of the Basic scheme, unless there is one.
func (o *Opening) authorize(user *url.Userinfo) {
	for _, f := range o.Fields {
		if equalFold([]byte(f.Name), "Authorization") {
			return
		}
	}
	password, _ := user.Password()
	credentials := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
	o.Fields = append(slices.Clip(o.Fields), Field{"Authorization", "Basic " + credentials})
}

// quoteURL quotes a URL for an error, without its password.
func quoteURL(rawURL string) string {
	if strings.Contains(rawURL, "@") {
		u, err := url.Parse(rawURL)
		if err != nil || u.Opaque != "" {
			return "a URL with a user"
		}
		u.User = nil
		if rawURL = u.String(); strings.Contains(rawURL, "@") {
			return "a URL with a user"
		}
	}
	return strconv.Quote(rawURL)
}

// escapeTarget encodes what a URL must not have, such as letters beyond ASCII in a query, as
// percent-encoded UTF-8 (RFC 6455 section 11.1.1).
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

// NewClientKey returns a key that nobody can predict (RFC 6455 section 4.1).
func NewClientKey() (k ClientKey) {
	var nonce [16]byte
	rand.Read(nonce[:])
	base64.StdEncoding.Encode(k[:], nonce[:])
	return k
}

// AppendRequest appends the opening handshake to dst (RFC 6455 section 4.1). If something must not
// be in a request, AppendRequest returns dst as it was, and an error.
func (o *Opening) AppendRequest(dst []byte, key ClientKey) ([]byte, error) {
	if err := o.checkFields(); err != nil {
		return dst, err
	}
	dst = append(append(append(dst, "GET "...), o.target()...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, o.Host...), "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = append(dst, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "...)
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

// target returns the request target.
func (o *Opening) target() string { return cmp.Or(o.Target, "/") }

// checkFields returns an error if something must not be in a request.
func (o *Opening) checkFields() error {
	if !isHost([]byte(o.Host)) {
		return fmt.Errorf("websocket: malformed host %q (RFC 9110 section 7.2)", o.Host)
	}
	if !isTarget([]byte(o.target())) {
		return fmt.Errorf("websocket: malformed request target %q (RFC 9112 section 3.2)", o.Target)
	}
	for i, p := range o.Subprotocols {
		if !isToken([]byte(p)) {
			return fmt.Errorf("websocket: subprotocol %q is not a token (RFC 6455 section 4.1)", p)
		}
		if slices.Contains(o.Subprotocols[:i], p) {
			return fmt.Errorf("websocket: subprotocol %q is offered twice (RFC 6455 section 4.1)", p)
		}
	}
	for _, f := range o.Fields {
		if err := f.check(); err != nil {
			return err
		}
		for _, own := range [...]string{"Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"} {
			if equalFold([]byte(f.Name), own) {
				return fmt.Errorf("websocket: header field %s is not the application's to set", own)
			}
		}
	}
	return nil
}

// appendOffer appends what a client with these parameters offers to dst. It always mentions
// client_max_window_bits, so that the server may ask for a small window (RFC 7692 section 7.1.2.2).
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
