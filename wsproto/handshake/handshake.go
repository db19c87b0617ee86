package handshake

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/myriadnet/myriad/wsproto"
)

// Field is a header field of a response.
type Field struct{ Name, Value string }

// acceptGUID is what RFC 6455 section 1.3 has the server append to the client's key.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

var (
	errNotGet     = refuse(405, "RFC 6455 section 4.1", "opening handshake is not a GET request")
	errUpgrade    = refuse(426, "RFC 6455 section 4.2.1", "no websocket in the Upgrade field")
	errConnection = refuse(400, "RFC 6455 section 4.2.1", "no upgrade in the Connection field")
	errKey        = refuse(400, "RFC 6455 section 4.2.1", "not exactly one Sec-WebSocket-Key of 16 bytes in base64")
	errProtoVer   = refuse(426, "RFC 6455 section 4.4", "Sec-WebSocket-Version is not 13")
	errBody       = refuse(400, "RFC 6455 section 4.1", "opening handshake with a body")
)

// IsUpgrade says whether the request asks for a WebSocket. CheckUpgrade says whether it does so by the rules.
func (r *Request) IsUpgrade() bool { return r.hasToken(upgradeField, "websocket") }

// CheckUpgrade checks a request against RFC 6455 sections 4.1 and 4.2.1, and returns the client's key. An error is a
// *Error.
func (r *Request) CheckUpgrade() (key []byte, err error) {
	if string(r.Method) != "GET" {
		return nil, errNotGet
	}
	if !r.IsUpgrade() {
		return nil, errUpgrade
	}
	if !r.hasToken(connectionField, "upgrade") {
		return nil, errConnection
	}
	if r.Length != 0 || r.has(lengthField) {
		return nil, errBody
	}
	if v, n := r.only(versionField); n != 1 || string(v) != "13" {
		return nil, errProtoVer
	}
	key, n := r.only(keyField)
	if n != 1 || !isKey(key) {
		return nil, errKey
	}
	return key, nil
}

var strict = base64.StdEncoding.Strict()

// isKey says whether b is the base64 of 16 bytes: 22 characters, of which the last has 4 unused bits, and two signs.
func isKey(b []byte) bool {
	var raw [18]byte
	if len(b) != 24 {
		return false
	}
	n, err := strict.Decode(raw[:], b)
	return err == nil && n == 16
}

// AppendAccept appends the value of Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2).
func AppendAccept(dst, key []byte) []byte {
	var b [24 + len(acceptGUID)]byte
	n := copy(b[:], key)
	n += copy(b[n:], acceptGUID)
	sum := sha1.Sum(b[:n])
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// AppendResponse appends the response that accepts a handshake. subprotocol may be "", deflate nil. If a further field must not be in
// the response it returns dst as it was and an error.
func AppendResponse(dst, key []byte, subprotocol string, deflate *wsproto.Deflate, further []Field) ([]byte, error) {
	for _, f := range further {
		if err := f.check(); err != nil {
			return dst, err
		}
	}
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(AppendAccept(dst, key), "\r\n"...)
	if subprotocol != "" {
		dst = appendField(dst, Field{"Sec-WebSocket-Protocol", subprotocol})
	}
	if deflate != nil {
		dst = append(AppendDeflate(append(dst, "Sec-WebSocket-Extensions: "...), *deflate), "\r\n"...)
	}
	for _, f := range further {
		dst = appendField(dst, f)
	}
	return append(dst, "\r\n"...), nil
}

// AppendHTTP appends an HTTP response that is a line of text, after which the server closes the connection. Without withText,
// for HEAD, the text is only announced.
func AppendHTTP(dst []byte, status int, further []Field, text string, withText bool) ([]byte, error) {
	for _, f := range further {
		if err := f.check(); err != nil {
			return dst, err
		}
	}
	if status < 200 || status > 599 {
		return dst, fmt.Errorf("wsproto: no response: status %d", status)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(dst, ' '), statusText(status)...)
	dst = append(dst, "\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), "\r\n"...)
	if status == 426 { // RFC 9110 section 15.5.22, RFC 6455 section 4.4
		dst = append(dst, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"...)
	}
	for _, f := range further {
		dst = appendField(dst, f)
	}
	dst = append(dst, "\r\n"...)
	if withText {
		dst = append(dst, text...)
	}
	return dst, nil
}

func appendField(dst []byte, f Field) []byte {
	dst = append(append(dst, f.Name...), ": "...)
	return append(append(dst, f.Value...), "\r\n"...)
}

var reserved = [...]string{
	"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
	"Content-Length", "Content-Type", "Transfer-Encoding",
}

// Reserved says whether a field is one of those that only the handshake itself writes, because they decide how the response is
// read.
func Reserved(name string) bool {
	for _, r := range reserved {
		if equalFold([]byte(name), r) {
			return true
		}
	}
	return false
}

// check keeps a value from ending its line and beginning another field or another response.
func (f Field) check() error {
	if !isToken([]byte(f.Name)) {
		return fmt.Errorf("wsproto: response field name %q is not a token (RFC 9110 section 5.1)", f.Name)
	}
	if !isValue([]byte(f.Value)) {
		return fmt.Errorf("wsproto: control character in response field %s (RFC 9110 section 5.5)", f.Name)
	}
	if Reserved(f.Name) {
		return fmt.Errorf("wsproto: response field %s is not the application's to set (RFC 6455 section 4.2.2)", f.Name)
	}
	return nil
}

// maxOffers is how many subprotocols a client may offer: they are compared with each other.
const maxOffers = 64

var (
	errSubprotocol = refuse(400, "RFC 6455 section 4.1", "Sec-WebSocket-Protocol is not a list of different tokens")
	errOffers      = refuse(400, "RFC 6455 section 4.1", fmt.Sprintf("over the limit of %d subprotocols", maxOffers))
)

// Subprotocol picks the first of the server's subprotocols that the client offers; its index, -1 if there is none.
func (r *Request) Subprotocol(server []string) (index int, err error) {
	var offers [maxOffers][]byte
	n := 0
	index = -1
	for value := range r.values(protocolField) {
		for more := true; more; n++ {
			var offer []byte
			offer, value, more = bytes.Cut(value, comma)
			if offer = trim(offer); !isToken(offer) {
				return -1, errSubprotocol
			}
			if n == maxOffers {
				return -1, errOffers
			}
			for _, before := range offers[:n] {
				if bytes.Equal(offer, before) {
					return -1, errSubprotocol
				}
			}
			offers[n] = offer
			for i, s := range server {
				if string(offer) == s && (index < 0 || i < index) {
					index = i
				}
			}
		}
	}
	return index, nil
}

// statusText is the reason phrase of the statuses that a handshake is likely to end with. It may be empty (RFC 9112
// section 4), and net/http, which knows all, is too much to link for it.
func statusText(status int) string {
	switch status {
	case 200:
		return "OK"
	case 204:
		return "No Content"
	case 301:
		return "Moved Permanently"
	case 302:
		return "Found"
	case 307:
		return "Temporary Redirect"
	case 308:
		return "Permanent Redirect"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 503:
		return "Service Unavailable"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}
