package handshake

import (
	"bytes"
	"fmt"
	"strings"
)

// CheckOrigin returns an *Error if the page that a browser connects from is not allowed (RFC 6455
// section 10.2). A client that sends no Origin field is not a browser, and is allowed.
//
// An origin is allowed whose host and port are those of the Host field, and whose scheme is one
// that CheckHost knows for it, if it was called before and knows any. If Secure is set, the scheme
// must be https: a page that came in plain text may be anybody's. allowed has patterns for further
// ones: "*" for all origins, "https://example.com", or "https://*.example.com" for all hosts below
// it. Fields that proxies add are not looked at.
func (r *Request) CheckOrigin(allowed []string) error {
	origin, n := r.only(originField)
	if n == 0 {
		return nil
	}
	if n > 1 {
		return refuse(403, originSection, "origin is not allowed: there are several")
	}
	for _, pattern := range allowed {
		if pattern == "*" || matches(origin, pattern) {
			return nil
		}
	}
	scheme, host, ok := bytes.Cut(origin, []byte("://"))
	port := ":443"
	if equalFold(scheme, "http") {
		port = ":80"
	} else if !equalFold(scheme, "https") {
		ok = false
	}
	if !ok || len(r.Host) == 0 || !sameHost(host, r.Host, port) || !r.hasScheme(port == ":443") {
		return r.originRefused(origin) // also for "null" and the like
	}
	return nil
}

const originSection = "RFC 6455 section 10.2"

// originRefused names what was compared: a proxy in front may have replaced the Host field. Both
// come from the client, so they are quoted, and cut where they are absurdly long.
func (r *Request) originRefused(origin []byte) *Error {
	return refuse(403, originSection,
		fmt.Sprintf("origin is not allowed: %.200q at host %.200q", origin, r.Host))
}

// matches reports whether an origin matches a pattern, in which a star stands for one or more
// labels of the host.
func matches(origin []byte, pattern string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return equalFold(origin, pattern)
	}
	if len(origin) <= len(before)+len(after) || !equalFold(origin[:len(before)], before) ||
		!equalFold(origin[len(origin)-len(after):], after) {
		return false
	}
	middle := origin[len(before) : len(origin)-len(after)]
	for _, c := range middle {
		if chars[c]&hostChar == 0 || c == ':' {
			return false
		}
	}
	return true
}
