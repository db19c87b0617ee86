package handshake

import (
	"bytes"
	"cmp"
	"strconv"

	"github.com/myriadnet/myriad/wsproto"
)

// offer is an offer of permessage-deflate, or the answer to one (RFC 7692 section 7.1).
type offer struct {
	wsproto.Deflate
	serverBits, clientBits bool // the parameter was there
}

// Deflate returns what is agreed on by the first offer of permessage-deflate that the server can
// accept (RFC 7692 section 5.1): its policy, narrowed by what the client asks for. Offers that are
// malformed, or have parameters that are unknown or come twice, are declined, and so are other
// extensions. ok is false if none is left.
func (r *Request) Deflate(policy wsproto.Deflate) (agreed wsproto.Deflate, ok bool) {
	for value := range r.values(extensionsField) {
		for len(value) > 0 {
			var element []byte
			element, value = cutList(value)
			if o, good := parseOffer(element); good {
				return o.accept(policy), true
			}
		}
	}
	return wsproto.Deflate{}, false
}

// accept returns the answer to an offer: what both ends can do, and nothing that the client did not
// allow.
func (o offer) accept(policy wsproto.Deflate) wsproto.Deflate {
	d := wsproto.Deflate{
		ServerNoContextTakeover: o.ServerNoContextTakeover || policy.ServerNoContextTakeover,
		ClientNoContextTakeover: o.ClientNoContextTakeover || policy.ClientNoContextTakeover,
	}
	server := min(windowBits(o.ServerMaxWindowBits), windowBits(policy.ServerMaxWindowBits))
	// section 7.1.2.1: what was asked for must be answered
	if o.serverBits || server < wsproto.MaxWindowBits {
		d.ServerMaxWindowBits = server
	}
	client := min(windowBits(o.ClientMaxWindowBits), windowBits(policy.ClientMaxWindowBits))
	// section 7.1.2.2: only a client that offered it knows it
	if o.clientBits && client < wsproto.MaxWindowBits {
		d.ClientMaxWindowBits = client
	}
	return d
}

// windowBits returns the size of a window as a power of two.
func windowBits(b uint8) uint8 { return cmp.Or(b, wsproto.MaxWindowBits) }

// AppendDeflate appends the element for d of a Sec-WebSocket-Extensions field to dst, as an offer
// or as the answer to one.
func AppendDeflate(dst []byte, d wsproto.Deflate) []byte {
	dst = append(dst, "permessage-deflate"...)
	if d.ServerNoContextTakeover {
		dst = append(dst, "; server_no_context_takeover"...)
	}
	if d.ClientNoContextTakeover {
		dst = append(dst, "; client_no_context_takeover"...)
	}
	if b := d.ServerMaxWindowBits; b != 0 {
		dst = appendBits(append(dst, "; server_max_window_bits="...), b)
	}
	if b := d.ClientMaxWindowBits; b != 0 {
		dst = appendBits(append(dst, "; client_max_window_bits="...), b)
	}
	return dst
}

func appendBits(dst []byte, bits uint8) []byte { return strconv.AppendUint(dst, uint64(bits), 10) }

// parseOffer parses one element of the list, and reports whether it is a valid offer of
// permessage-deflate.
func parseOffer(element []byte) (o offer, ok bool) {
	name, rest, _ := bytes.Cut(element, semicolon)
	if !equalFold(trim(name), "permessage-deflate") {
		return o, false
	}
	seen := 0
	for more := len(name) < len(element); more; {
		var param []byte
		param, rest, more = bytes.Cut(rest, semicolon)
		key, value, hasValue := bytes.Cut(param, equals)
		key = trim(key)
		if value, ok = unquote(trim(value)); !ok && hasValue {
			return o, false
		}
		bit := 0
		switch {
		case equalFold(key, "server_no_context_takeover") && !hasValue:
			bit, o.ServerNoContextTakeover = 1, true
		case equalFold(key, "client_no_context_takeover") && !hasValue:
			bit, o.ClientNoContextTakeover = 2, true
		case equalFold(key, "server_max_window_bits") && hasValue:
			bit, o.serverBits = 4, true
			o.ServerMaxWindowBits, ok = parseBits(value)
		case equalFold(key, "client_max_window_bits"):
			bit, o.clientBits = 8, true
			if ok = true; hasValue {
				o.ClientMaxWindowBits, ok = parseBits(value)
			}
		}
		if bit == 0 || seen&bit != 0 || bit >= 4 && !ok {
			return o, false
		}
		seen |= bit
	}
	return o, true
}

var semicolon, equals = []byte(";"), []byte("=")

// parseBits parses a number from 8 to 15 without leading zeros (RFC 7692 section 7.1.2).
func parseBits(b []byte) (uint8, bool) {
	switch {
	case len(b) == 1 && (b[0] == '8' || b[0] == '9'):
		return b[0] - '0', true
	case len(b) == 2 && b[0] == '1' && b[1] >= '0' && b[1] <= '5':
		return 10 + b[1] - '0', true
	}
	return 0, false
}

// cutList returns the first element of a list, and the others, nil if there is none. A comma within
// quotes does not end an element.
func cutList(b []byte) (element, rest []byte) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return b[:i], b[i+1:]
		}
	}
	return b, nil
}

// unquote returns a token, or the content of a quoted string, which must be a token, too (RFC 6455
// section 9.1).
func unquote(b []byte) ([]byte, bool) {
	if len(b) < 2 || b[0] != '"' {
		return b, isToken(b)
	}
	if b[len(b)-1] != '"' {
		return nil, false
	}
	b = b[1 : len(b)-1]
	// no character of a token needs a backslash, but it is allowed
	if bytes.IndexByte(b, '\\') >= 0 {
		plain := make([]byte, 0, len(b))
		for i := 0; i < len(b); i++ {
			if b[i] == '\\' && i+1 < len(b) {
				i++
			}
			plain = append(plain, b[i])
		}
		b = plain
	}
	return b, isToken(b)
}
