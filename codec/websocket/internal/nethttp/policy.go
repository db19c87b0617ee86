package nethttp

import (
	"fmt"
	"slices"
	"strings"
)

// CheckOrigins returns an error for the first pattern that no origin of a browser can match, such
// as one without a scheme or with a path. Patterns are "*", "https://example.com:8443",
// "https://*.example.com" and "http://localhost:*".
func CheckOrigins(patterns []string) error {
	for _, p := range patterns {
		if p == "*" {
			continue
		}
		scheme, host, ok := strings.Cut(p, "://")
		if !ok || !isToken(scheme) {
			return fmt.Errorf("pattern %q has no scheme: want one such as %q", p, "https://"+p)
		}
		if strings.Count(host, "*") > 1 {
			return fmt.Errorf("pattern %q has two stars, of which only one would count", p)
		}
		host, port, hasPort := cutPort(strings.TrimPrefix(host, "*."))
		if !isHost(host) || hasPort && port != "*" && !isPort(port) {
			return fmt.Errorf("pattern %q is not a scheme, a host and an optional port", p)
		}
	}
	return nil
}

// CheckHosts returns an error for the first host that no Host field can match. Hosts are
// "example.com", "[::1]:8443" and "https://example.com".
func CheckHosts(hosts []string) error {
	for _, h := range hosts {
		scheme, host, ok := strings.Cut(h, "://")
		if !ok {
			scheme, host = "http", h
		}
		name, port, hasPort := cutPort(host)
		if scheme != "http" && scheme != "https" || !isHost(name) || hasPort && !isPort(port) {
			return fmt.Errorf("%q is not a host with an optional port, behind http:// or https:// if at all", h)
		}
	}
	return nil
}

// CheckSubprotocols returns an error for the first name that a client cannot offer.
func CheckSubprotocols(names []string) error {
	for i, n := range names {
		if !isToken(n) {
			return fmt.Errorf("%q is not a token (RFC 6455 section 4.1)", n)
		}
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("%q is there twice", n)
		}
	}
	return nil
}

// cutPort cuts host:port; an IPv6 address is in brackets.
func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// isHost reports whether s is a host as browsers write it in an origin: a name, which is in ASCII
// then, or an address.
func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && inner != "" && strings.Trim(inner, "0123456789abcdefABCDEF:.") == ""
	}
	return consistsOf(s, "-._")
}

func isPort(s string) bool { return s != "" && len(s) <= 5 && strings.Trim(s, "0123456789") == "" }

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool { return consistsOf(s, "!#$%&'*+-.^_`|~") }

// consistsOf reports whether s has letters and digits of ASCII and other characters only.
func consistsOf(s, other string) bool {
	for _, r := range s {
		alphanumeric := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !alphanumeric && !strings.ContainsRune(other, r) {
			return false
		}
	}
	return s != ""
}
