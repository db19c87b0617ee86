package handshake

import (
	"bytes"
	"strings"
)

var errForeignHost = refuse(421, "RFC 9110 section 15.5.20", "host is not one of this server's")

// CheckHost returns an *Error with status 421 unless the Host field is one of hosts. No hosts at
// all allow every Host field. A host without a port stands for all ports: "example.com", "[::1]",
// "localhost:8080".
//
// It protects a server that trusts its network, such as one on localhost, from DNS rebinding: a
// page of evil.example has the server's address put into the DNS for evil.example, and is of the
// same origin then. Its browser still sends evil.example as the Host.
//
// A host may begin with the scheme by which browsers reach it: "https://example.com". CheckOrigin
// then takes pages of the other scheme for foreign.
func (r *Request) CheckHost(hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	r.hosts = hosts
	for _, h := range hosts {
		if _, host := splitHost(h); r.isHost(host) {
			return nil
		}
	}
	return errForeignHost
}

// hasScheme reports whether the server may be reached by scheme, as far as is known.
func (r *Request) hasScheme(scheme []byte) bool {
	if r.Secure && !equalFold(scheme, "https") {
		return false
	}
	for _, h := range r.hosts {
		if s, host := splitHost(h); r.isHost(host) && (s == "" || equalFold(scheme, s)) {
			return true
		}
	}
	return len(r.hosts) == 0
}

// isHost reports whether the Host field is host, with any port if host has none.
func (r *Request) isHost(host string) bool {
	return equalFold(r.Host, host) || equalFold(withoutPort(r.Host), host)
}

// splitHost cuts a host of CheckHost. scheme may be "".
func splitHost(s string) (scheme, host string) {
	if scheme, host, ok := strings.Cut(s, "://"); ok {
		return scheme, host
	}
	return "", s
}

// withoutPort cuts the port off. An IPv6 address is in brackets.
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && !bytes.HasSuffix(host, []byte("]")) {
		return host[:i]
	}
	return host
}
