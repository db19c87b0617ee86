// Package deflate compresses messages for package wsproto by permessage-deflate (RFC 7692), with
// klauspost/compress.
//
// A program that wants compression passes New to wsproto.Config, and Compression.Policy to the
// opening handshake. Compressors come from pools and go back after each message: only a connection
// that has agreed on context takeover keeps memory of its own, its windows.
package deflate
