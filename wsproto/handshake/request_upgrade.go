package handshake

import (
	"bytes"
	"fmt"
)

var (
	errHTTP10     = refuse(505, "RFC 6455 section 4.1", "opening handshake needs HTTP/1.1")
	errNotGet     = refuse(405, "RFC 6455 section 4.1", "opening handshake is not a GET request")
	errUpgrade    = refuse(426, "RFC 6455 section 4.2.1", "no websocket in the Upgrade field")
	errConnection = refuse(400, "RFC 6455 section 4.2.1", "no upgrade in the Connection field")
	errKey        = refuse(400, "RFC 6455 section 4.2.1", "not exactly one Sec-WebSocket-Key of 16 bytes in base64")
	errProtoVer   = refuse(426, "RFC 6455 section 4.4", "Sec-WebSocket-Version is not 13")
	errBody       = refuse(400, "RFC 6455 section 4.1", "opening handshake with a body")
)

// IsUpgrade reports whether the request asks for a WebSocket. It may still break the rules that
// CheckUpgrade checks.
func (r *Request) IsUpgrade() bool { return r.hasToken(upgradeField, "websocket") }

// CheckUpgrade checks an opening handshake by the rules of RFC 6455 sections 4.1 and 4.2.1, and
// returns the client's key. An error is an *Error.
func (r *Request) CheckUpgrade() (key []byte, err error) {
	if string(r.Method) != "GET" {
		return nil, errNotGet
	}
	if !r.IsUpgrade() {
		return nil, errUpgrade
	}
	if r.HTTP10 {
		return nil, errHTTP10
	}
	if !r.hasToken(connectionField, "upgrade") {
		return nil, errConnection
	}
	if r.Length != 0 {
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

// isKey reports whether b has the form of 16 bytes in base64: 22 characters and two padding signs.
// The last character has 4 unused bits, which need not be 0: many clients choose characters instead
// of bytes, and nobody decodes them.
func isKey(b []byte) bool {
	if len(b) != 24 || b[22] != '=' || b[23] != '=' {
		return false
	}
	for _, c := range b[:22] {
		if chars[c]&base64Char == 0 {
			return false
		}
	}
	return true
}

// maxOffers is how many subprotocols a client may offer. They are compared with each other.
const maxOffers = 64

var (
	errSubprotocol = refuse(400, "RFC 6455 section 4.1", "Sec-WebSocket-Protocol is not a list of different tokens")
	errOffers      = refuse(400, "RFC 6455 section 4.1", fmt.Sprintf("over the limit of %d subprotocols", maxOffers))
)

// Subprotocol returns the index of the first of the server's subprotocols that the client offers,
// or -1 if it offers none of them. An error is an *Error.
func (r *Request) Subprotocol(server []string) (index int, err error) {
	var offers [maxOffers][]byte
	n := 0
	index = -1
	for value := range r.values(protocolField) {
		for len(value) > 0 {
			var offer []byte
			offer, value, _ = bytes.Cut(value, comma)
			if offer = trim(offer); len(offer) == 0 { // RFC 9110 section 5.6.1.2
				continue
			}
			if !isToken(offer) {
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
			n++
			for i, s := range server {
				if string(offer) == s && (index < 0 || i < index) {
					index = i
				}
			}
		}
	}
	return index, nil
}
