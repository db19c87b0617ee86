// Package proxyproto reads and writes headers of the PROXY protocol, versions 1 and 2, as HAProxy's
// proxy-protocol.txt defines them. It does no I/O.
package proxyproto
