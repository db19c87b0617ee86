package handshake

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

var (
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

// isKey reports whether b is the base64 of 16 bytes: 22 characters, of which the last has 4 unused
// bits, and two padding signs.
func isKey(b []byte) bool {
	var raw [18]byte
	if len(b) != 24 {
		return false
	}
	n, err := strict.Decode(raw[:], b)
	return err == nil && n == 16
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
