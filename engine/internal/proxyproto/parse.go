package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2
	fixedLen  = 16                       // of version 2: up to the length of the rest
	maxLine   = 107                      // of version 1, with its CRLF
	unixLen   = 108                      // of a unix socket's path in version 2

	prefix1 = "PROXY " // of version 1
)

// MaxLen is the length of the longest header.
const MaxLen = fixedLen + 1<<16 - 1

// ErrNone means that what the peer has sent does not begin like a header.
var ErrNone = errors.New("PROXY header: there is none (proxy-protocol.txt section 2.2)")

// Parse reads the header that b begins with, and returns its length n. It is 0 without an error if
// more bytes are needed. A header of version 2 may have limit bytes. The error is an *Error, or
// ErrNone as soon as b cannot begin a header. TLVs is part of b.
//
// The result does not depend on how much stands behind the header, or on where the bytes before its
// end were split.
func Parse(b []byte, limit int) (h Header, n int, err error) {
	switch {
	case begins(b, prefix1):
		return parse1(b)
	case begins(b, signature):
		return parse2(b, limit)
	}
	return h, 0, ErrNone
}

// begins reports whether b begins with prefix, or is the beginning of it.
func begins(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// parse1 reads version 1: a line.
func parse1(b []byte) (h Header, n int, err error) {
	end := bytes.IndexAny(b[:min(len(b), maxLine)], "\r\n")
	switch {
	case end < 0 && len(b) < maxLine, end == len(b)-1 && b[end] == '\r' && len(b) < maxLine:
		return h, 0, nil
	case end < 0, end == maxLine-1:
		return h, 0, bad("2.1", "no CRLF in the first %d bytes", maxLine)
	case b[end] != '\r' || b[end+1] != '\n':
		return h, 0, bad("2.1", "a CR or LF that is not a CRLF")
	}
	h, err = parseLine(string(b[len(prefix1):end]))
	return h, end + 2, err
}

// parseLine reads what stands behind "PROXY ". The dotted form of the last 32 bits of an IPv6
// address is let through: HAProxy and nginx write IPv4-mapped addresses like that.
func parseLine(line string) (h Header, err error) {
	h.Version = 1
	family, rest, _ := strings.Cut(line, " ")
	if family == "UNKNOWN" {
		return h, nil // the rest must be ignored
	}
	if family != "TCP4" && family != "TCP6" {
		return h, bad("2.1", "protocol %q: want TCP4, TCP6 or UNKNOWN", family)
	}
	var f [4]string
	if strings.Count(rest, " ") != len(f)-1 {
		return h, bad("2.1", "want two addresses and two ports, each behind one space")
	}
	for i := range f {
		f[i], rest, _ = strings.Cut(rest, " ")
	}
	if h.Source, err = parseEnd(family, f[0], f[2]); err == nil {
		h.Destination, err = parseEnd(family, f[1], f[3])
	}
	return h, err
}

// parseEnd parses an address and a port.
func parseEnd(family, address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() != (family == "TCP4") || a.Zone() != "" {
		return netip.AddrPort{}, bad("2.1", "%q is not an address of %s", address, family)
	}
	n, err := strconv.ParseUint(port, 10, 16) // which takes no sign
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, bad("2.1", "port %q: want 0 to 65535 without a sign or leading zeros", port)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// parse2 reads version 2. What is wrong with its first 16 bytes is told as soon as it is there.
func parse2(b []byte, limit int) (h Header, n int, err error) {
	if len(b) <= 12 {
		return h, 0, nil
	}
	command := b[12] & 15
	if b[12]>>4 != 2 {
		return h, 0, bad("2.2", "version %d behind the signature of version 2", b[12]>>4)
	}
	if command > 1 {
		return h, 0, bad("2.2", "command %d: want LOCAL or PROXY", command)
	}
	if len(b) <= 13 {
		return h, 0, nil
	}
	family, transport := b[13]>>4, b[13]&15
	if command == 1 && (family > 3 || transport > 2) {
		return h, 0, bad("2.2", "address family %d with transport protocol %d", family, transport)
	}
	if len(b) < fixedLen {
		return h, 0, nil
	}
	n = fixedLen + int(binary.BigEndian.Uint16(b[14:]))
	if n > limit {
		return h, 0, bad("2.2", "a header of %d bytes, more than %d", n, limit)
	}
	if len(b) < n {
		return h, 0, nil
	}
	h.Version, h.Local = 2, command == 0
	if h.Local || family == 0 || transport == 0 {
		return h, n, nil // the block must be skipped, and has no length that could be known
	}
	if err := h.parseBlock(family, b[fixedLen:n:n]); err != nil {
		return h, n, err
	}
	return h, n, h.checkTLVs(b[:n])
}

// parseBlock reads the addresses. TLVs is what stands behind them.
func (h *Header) parseBlock(family byte, b []byte) error {
	size := [...]int{1: 4, 2: 16, 3: unixLen}[family]
	need := 2 * size
	if family != 3 {
		need += 4 // the ports
	}
	if len(b) < need {
		return bad("2.2", "%d bytes for addresses of family %d, which take %d", len(b), family, need)
	}
	source, destination := b[:size], b[size:2*size]
	h.TLVs = b[need:]
	if family == 3 {
		h.SourcePath, h.DestinationPath = pathOf(source), pathOf(destination)
		return nil
	}
	ports := b[2*size:]
	from, _ := netip.AddrFromSlice(source)
	to, _ := netip.AddrFromSlice(destination)
	h.Source = netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports))
	h.Destination = netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:]))
	return nil
}

// pathOf returns the path in a sockaddr_un. A name in the abstract namespace begins with a zero.
func pathOf(b []byte) string {
	abstract := ""
	if b[0] == 0 {
		abstract, b = "@", b[1:]
	}
	path, _, _ := bytes.Cut(b, []byte{0})
	if len(path) == 0 {
		return ""
	}
	return abstract + string(path)
}

// checkTLVs checks that the TLVs are whole, and the checksum if there is one. all is the header.
func (h *Header) checkTLVs(all []byte) error {
	summed := false
	for b := h.TLVs; len(b) > 0; {
		kind, value, rest, ok := cutTLV(b)
		if !ok {
			return bad("2.2", "a TLV that does not end with the header")
		}
		if kind == TypeCRC32C {
			if len(value) != crc32.Size || summed {
				return bad("2.2.3", "want one checksum of four bytes")
			}
			summed = true
			at := len(all) - len(rest) - crc32.Size
			if checksum(all, at) != binary.BigEndian.Uint32(value) {
				return bad("2.2.3", "wrong checksum")
			}
		}
		b = rest
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the CRC32C of a header whose four bytes at are taken for zeros.
func checksum(b []byte, at int) uint32 {
	sum := crc32.Update(0, castagnoli, b[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, crc32.Size))
	return crc32.Update(sum, castagnoli, b[at+crc32.Size:])
}
