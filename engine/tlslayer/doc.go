// Package tlslayer is TLS for connections of package engine: handshakes by crypto/tls, in a bounded
// number of goroutines, and records that the loop opens and seals itself, in place.
//
// An idle connection owns its keys, about 220 bytes, and no buffer. Where this package cannot do
// the records itself (suites without an AEAD, resumed TLS 1.2, FIPS 140 mode), a tls.Conn does
// them, driven without blocking; that costs its buffers. See docs/decisions/0011-tls.md.
//
// The package is not called tls, because its users need crypto/tls, too.
package tlslayer
