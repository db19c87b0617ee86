package handshake

import "fmt"

// Field is a header field that is added to a request or a response.
type Field struct{ Name, Value string }

// appendField appends a line with the field to dst.
func appendField(dst []byte, f Field) []byte {
	dst = append(append(dst, f.Name...), ": "...)
	return append(append(dst, f.Value...), "\r\n"...)
}

// reserved has the fields that decide how a response is read.
var reserved = [...]string{
	"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
	"Content-Length", contentType, "Transfer-Encoding",
}

// contentType may be set for a response that refuses, because it describes the text.
const contentType = "Content-Type"

// Reserved reports whether a field may only be written by the handshake itself, because it decides
// how the response is read.
func Reserved(name string) bool {
	for _, r := range reserved {
		if equalFold([]byte(name), r) {
			return true
		}
	}
	return false
}

// check returns an error if the field is reserved, or if it would end its line and begin another
// field or another response.
func (f Field) check() error {
	if !isToken([]byte(f.Name)) {
		return fmt.Errorf("websocket: header field name %q is not a token (RFC 9110 section 5.1)", f.Name)
	}
	if !isValue([]byte(f.Value)) {
		return fmt.Errorf("websocket: control character in header field %s (RFC 9110 section 5.5)", f.Name)
	}
	if Reserved(f.Name) {
		return fmt.Errorf("websocket: header field %s is not the application's to set (RFC 6455 section 4.2.2)", f.Name)
	}
	return nil
}
