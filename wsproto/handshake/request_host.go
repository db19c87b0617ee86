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
// then takes pages of the other scheme for foreign. So it does after several calls, if any of them
// has said so.
func (r *Request) CheckHost(hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	known := ways(0)
	for _, h := range hosts {
		if scheme, host := splitHost(h); r.isHost(host) {
			known |= waysOf(scheme)
		}
	}
	if known == 0 {
		return errForeignHost
	}
	r.foreign |= allWays &^ known
	return nil
}

// ways are schemes by which browsers may reach a server.
type ways uint8

const (
	byHTTP ways = 1 << iota
	byHTTPS
	byOther
	allWays = byHTTP | byHTTPS | byOther
)

// waysOf returns what a scheme stands for; "" stands for all.
func waysOf(scheme string) ways {
	switch {
	case scheme == "":
		return allWays
	case equalFold([]byte(scheme), "http"):
		return byHTTP
	case equalFold([]byte(scheme), "https"):
		return byHTTPS
	}
	return byOther
}

// hasScheme reports whether the server may be reached by https, or by http, as far as is known.
func (r *Request) hasScheme(https bool) bool {
	if https {
		return r.foreign&byHTTPS == 0
	}
	return !r.Secure && r.foreign&byHTTP == 0
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
