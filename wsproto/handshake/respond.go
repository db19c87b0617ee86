package handshake

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/myriadnet/myriad/wsproto"
)

// acceptGUID is what the server appends to the client's key (RFC 6455 section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendAccept appends the value of Sec-WebSocket-Accept for a client's key to dst (RFC 6455
// section 4.2.2).
func appendAccept(dst, key []byte) []byte {
	var b [24 + len(acceptGUID)]byte
	n := copy(b[:], key)
	n += copy(b[n:], acceptGUID)
	sum := sha1.Sum(b[:n])
	return base64.StdEncoding.AppendEncode(dst, sum[:])
}

// AppendResponse appends the response that accepts an opening handshake to dst. key is that of
// Request.CheckUpgrade. subprotocol is "" for none, and deflate is nil for no compression. If a
// further field is malformed or Reserved, AppendResponse returns dst as it was, and an error.
func AppendResponse(dst, key []byte, subprotocol string, deflate *wsproto.Deflate, further []Field) ([]byte, error) {
	for _, f := range further {
		if err := f.check(); err != nil {
			return dst, err
		}
	}
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	dst = append(dst, "Sec-WebSocket-Accept: "...)
	dst = append(appendAccept(dst, key), "\r\n"...)
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

// AppendHTTP appends any other HTTP response to dst: a short text, after which the server closes
// the connection. Without withText the response announces the text but does not have it, as for
// HEAD; with status 204 or 304 there is none (RFC 9110 section 6.4.1). Among the further fields may
// be a Content-Type, instead of text/plain. If the status is not from 200 to 599, or a further
// field is malformed or otherwise Reserved, AppendHTTP returns dst as it was, and an error.
func AppendHTTP(dst []byte, status int, further []Field, text string, withText bool) ([]byte, error) {
	typed := false
	for _, f := range further {
		if equalFold([]byte(f.Name), contentType) && !typed { // a second one is refused
			typed = true
			f.Name = "X"
		}
		if err := f.check(); err != nil {
			return dst, err
		}
	}
	if status < 200 || status > 599 {
		return dst, fmt.Errorf("websocket: status %d is not one of a final response", status)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(dst, ' '), statusText(status)...)
	dst = append(dst, "\r\nConnection: close\r\n"...)
	if status == 204 || status == 304 {
		withText = false
	} else {
		if !typed {
			dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\n"...)
		}
		dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(text)), 10), "\r\n"...)
	}
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

// statusText returns the reason phrase of the statuses that a handshake is likely to end with. It
// may be empty (RFC 9112 section 4). net/http, which knows all of them, is too large to link for
// this.
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
	case 421:
		return "Misdirected Request"
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
