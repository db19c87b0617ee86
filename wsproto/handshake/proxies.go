package handshake

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Proxies are HTTP proxies that are trusted to tell whose request they pass on. nil trusts nobody.
type Proxies struct {
	// Trusted are the addresses of the proxies. Everybody in them can pretend to be any client.
	Trusted []netip.Prefix
	// TrustUnix trusts the peers of unix sockets, which have no address.
	TrustUnix bool
	// Field is the header field in which they tell it: "X-Forwarded-For" or "Forwarded" (RFC 7239).
	// Each of them must replace the field or add to its end. Only this one is looked at, because a
	// proxy that knows one lets through what a client writes in the other. Default:
	// "X-Forwarded-For".
	Field string
}

const (
	xForwardedFor = "X-Forwarded-For"
	forwarded     = "Forwarded"
)

// Check returns an error for fields that make no sense.
func (p *Proxies) Check() error {
	if p == nil {
		return nil
	}
	if len(p.Trusted) == 0 && !p.TrustUnix {
		return errors.New("Proxies.Trusted is empty: nobody is trusted")
	}
	for _, t := range p.Trusted {
		if !t.IsValid() || t.Addr().Is4In6() {
			return fmt.Errorf("Proxies.Trusted has %v: want the prefix of an IPv4 or an IPv6 address", t)
		}
	}
	if f := p.field(); f != xForwardedFor && f != forwarded {
		return fmt.Errorf("Proxies.Field is %q: want %s or %s", f, xForwardedFor, forwarded)
	}
	return nil
}

func (p *Proxies) field() string {
	if p.Field == "" {
		return xForwardedFor
	}
	return p.Field
}

// Trusts reports whether peer is one of the proxies. The zero AddrPort is that of a unix socket.
func (p *Proxies) Trusts(peer netip.AddrPort) bool {
	if p == nil {
		return false
	}
	if !peer.IsValid() {
		return p.TrustUnix
	}
	a := peer.Addr().Unmap().WithZone("")
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// ClientAddr returns the address of the client that a request comes from: peer, unless that is a
// trusted proxy. Then it is the last address in the proxies' field that is not a trusted proxy's.
// Where an address is not told (an obfuscated identifier, "unknown", or garbage), it is that of the
// proxy that has not told it. The port is 0 if it is not told.
//
// values returns the values of all header fields of a name, in order, as that of http.Header.
func (p *Proxies) ClientAddr(peer netip.AddrPort, values func(name string) []string) netip.AddrPort {
	if !p.Trusts(peer) {
		return peer
	}
	field := p.field()
	lines := values(field)
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			var element string
			rest, element = cutLast(rest, ',')
			if element = strings.Trim(element, " \t"); element == "" {
				continue // RFC 9110 section 5.6.1.2
			}
			node := element
			if field == forwarded {
				node = forOf(element)
			}
			next := parseNode(node)
			if !next.IsValid() {
				return peer
			}
			if peer = next; !p.Trusts(peer) {
				return peer
			}
		}
	}
	return peer
}

// ClientAddr returns the address of the client that the request comes from: see Proxies.ClientAddr.
func (r *Request) ClientAddr(peer netip.AddrPort, p *Proxies) netip.AddrPort {
	return p.ClientAddr(peer, func(name string) (values []string) {
		for n, value := range r.Fields() {
			if equalFold(n, name) {
				values = append(values, string(value))
			}
		}
		return values
	})
}

// cutLast cuts s at the last separator that is not in a quoted string. It goes from the end, where
// the proxies have written: a quote that the client has left open does not reach that far.
func cutLast(s string, separator byte) (before, after string) {
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == '"' && !isEscaped(s[:i]):
			quoted = !quoted
		case s[i] == separator && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return "", s
}

// isEscaped reports whether what follows before is the second half of a quoted-pair.
func isEscaped(before string) bool {
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}

// forOf returns the node of the parameter "for" of an element of Forwarded: RFC 7239 section 4. It
// is "" if there is not exactly one.
func forOf(element string) (node string) {
	for rest := element; rest != ""; {
		var pair string
		rest, pair = cutLast(rest, ';')
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if node != "" {
			return ""
		}
		if node = strings.TrimRight(value, " \t"); node == "" {
			return ""
		}
		if n := len(node); n >= 2 && node[0] == '"' && node[n-1] == '"' {
			node = node[1 : n-1]
		}
	}
	return node
}

// parseNode parses an address with or without a port: RFC 7239 section 6, and what proxies write to
// X-Forwarded-For. An IPv6 address may be without brackets if it has no port. A port that is not a
// number is not told.
func parseNode(s string) netip.AddrPort {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || end+1 < len(s) && s[end+1] != ':' {
			return netip.AddrPort{}
		}
		host, port = s[1:end], strings.TrimPrefix(s[end+1:], ":")
		if !strings.Contains(host, ":") {
			return netip.AddrPort{}
		}
	} else if strings.Count(s, ":") == 1 {
		host, port, _ = strings.Cut(s, ":")
	}
	a, err := netip.ParseAddr(host)
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}
	}
	ap, _ := netip.ParseAddrPort("0.0.0.0:" + port) // the error: it is not told
	return netip.AddrPortFrom(a.Unmap(), ap.Port())
}
