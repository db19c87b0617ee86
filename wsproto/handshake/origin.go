package handshake

import (
	"bytes"
	"strings"
)

var errOrigin = refuse(403, "RFC 6455 section 10.2", "origin is not allowed")

// CheckOrigin decides whether a browser may connect from the page that it says it is on (RFC 6455 section 10.2). Without
// an Origin field the client is no browser, and may.
//
// allowed are patterns: "*" for all, "https://example.com", or "https://*.example.com" for all hosts below it. If there
// are none, the origin's host and port must be those of the Host field. Fields that proxies add are not looked at.
func (r *Request) CheckOrigin(allowed []string) error {
	origin, n := r.only(originField)
	if n == 0 {
		return nil
	}
	if n > 1 {
		return errOrigin
	}
	for _, pattern := range allowed {
		if pattern == "*" || matches(origin, pattern) {
			return nil
		}
	}
	if len(allowed) > 0 {
		return errOrigin
	}
	scheme, host, ok := bytes.Cut(origin, []byte("://"))
	port := []byte(":443")
	if equalFold(scheme, "http") {
		port = []byte(":80")
	} else if !equalFold(scheme, "https") {
		ok = false
	}
	if !ok || !equalFold(bytes.TrimSuffix(host, port), bytes.TrimSuffix(r.Host, port)) {
		return errOrigin // "null" and the like, too
	}
	return nil
}

// matches compares an origin with a pattern; a star stands for one or more labels of the host.
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
