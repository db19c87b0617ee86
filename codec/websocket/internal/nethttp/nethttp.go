// Package nethttp checks and answers opening handshakes that come through net/http, by the rules of
// package handshake.
package nethttp

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// ErrHijack means that a connection cannot be taken over from net/http.
var ErrHijack = refuse(501, "RFC 6455 section 4.2", "the connection cannot be taken over")

var errLineEnd = refuse(400, "RFC 9110 section 5.5", "line end in the request")

func refuse(status int, section, text string) error {
	return &handshake.Error{Status: status, Section: section, Text: text}
}

// Parse checks what net/http has parsed by handshake.ParseRequest. head is the request written once
// more, as it must have arrived. request is valid as long as head is.
func Parse(r *http.Request, request *handshake.Request, limits *wsproto.Limits) (head []byte, err error) {
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	head = fmt.Appendf(nil, "%s %s HTTP/%d.%d\r\nHost: %s\r\n", r.Method, target, r.ProtoMajor, r.ProtoMinor, r.Host)
	lines := 3
	for name, values := range r.Header {
		for _, v := range values {
			head = append(append(append(append(head, name...), ": "...), v...), "\r\n"...)
			lines++
		}
	}
	if len(r.TransferEncoding) > 0 {
		head = append(head, "Transfer-Encoding: chunked\r\n"...)
		lines++
	}
	head = append(head, "\r\n"...)
	if bytes.Count(head, []byte("\n")) != lines { // of middleware: net/http lets none through
		return nil, errLineEnd
	}
	var scanned uint32
	_, err = handshake.ParseRequest(head, &scanned, request, limits)
	request.Secure = r.TLS != nil
	return head, err
}

// Fields returns the fields of h, sorted by name.
func Fields(h http.Header) (fields []handshake.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fields = append(fields, handshake.Field{Name: name, Value: v})
		}
	}
	return fields
}

// Further returns the fields that middleware has set for the response, without those that only the
// handshake itself may set.
func Further(h http.Header) []handshake.Field {
	return slices.DeleteFunc(Fields(h), func(f handshake.Field) bool { return handshake.Reserved(f.Name) })
}

// Status returns the HTTP status and text that answer an error.
func Status(err error) (status int, text string) {
	var h *handshake.Error
	if errors.As(err, &h) {
		return h.Status, h.Error() + "\n"
	}
	return 500, "internal server error\n"
}

// Refuse answers through net/http, which then closes the connection: what the client has sent after
// a handshake is not a request.
func Refuse(w http.ResponseWriter, err error) {
	status, text := Status(err)
	h := w.Header()
	h.Set("Connection", "close")
	if status == http.StatusUpgradeRequired {
		h.Set("Upgrade", "websocket")
		h.Set("Sec-WebSocket-Version", "13")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

// Hijack takes the connection over from net/http. early is what was received after the request. It
// lies in buf, which is net/http's buffer and not needed there any more.
func Hijack(w http.ResponseWriter) (nc net.Conn, early, buf []byte, err error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrHijack, err)
	}
	early, _ = rw.Reader.Peek(rw.Reader.Buffered())
	rw.Reader.Reset(nil)
	buf, _ = rw.Reader.Peek(0)
	return nc, early, buf[:cap(buf)], nil
}
