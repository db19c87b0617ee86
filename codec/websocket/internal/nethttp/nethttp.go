// Package nethttp is about opening handshakes that come by net/http: how they are judged by the
// rules of package wsproto, and answered.
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

// ErrHijack is why a connection cannot be taken over.
var ErrHijack = &handshake.Error{Status: 501, Section: "RFC 6455 section 4.2", Text: "the connection cannot be taken over"}

var errLineEnd = &handshake.Error{Status: 400, Section: "RFC 9110 section 5.5", Text: "line end in the request"}

// Parse has ParseRequest judge what net/http has parsed: the head is written once more, as it must
// have come. request is valid as long as head is.
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
	if bytes.Count(head, []byte("\n")) != lines { // by middleware; net/http lets none through
		return nil, errLineEnd
	}
	var scanned uint32
	_, err = handshake.ParseRequest(head, &scanned, request, limits)
	return head, err
}

// Fields are those of h, in a fixed order.
func Fields(h http.Header) (fields []handshake.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fields = append(fields, handshake.Field{Name: name, Value: v})
		}
	}
	return fields
}

// Further are those that middleware has set for the response, without those that are the
// handshake's own.
func Further(h http.Header) []handshake.Field {
	return slices.DeleteFunc(Fields(h), func(f handshake.Field) bool { return handshake.Reserved(f.Name) })
}

// Status is how an error is answered.
func Status(err error) (status int, text string) {
	var h *handshake.Error
	if errors.As(err, &h) {
		return h.Status, h.Error() + "\n"
	}
	return 500, "internal server error\n"
}

// Refuse answers by way of net/http, which closes the connection then: what the client has sent
// behind a handshake is no request.
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

// Hijack takes the connection over. early is what was received behind the request. It lies in buf,
// which is net/http's buffer and not needed there any more.
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
