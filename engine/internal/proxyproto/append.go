package proxyproto

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
)

// Append appends the header to dst as it is sent. Without addresses it is UNKNOWN in version 1, and
// LOCAL or AF_UNSPEC in version 2. The error says why there is no such header; then dst is
// returned.
func (h *Header) Append(dst []byte) ([]byte, error) {
	source, destination := unmap(h.Source, h.Destination)
	switch paths := h.SourcePath != "" || h.DestinationPath != ""; {
	case source.IsValid() != destination.IsValid():
		return dst, errors.New("PROXY header: one address without the other")
	case source.Addr().Is4() != destination.Addr().Is4():
		return dst, errors.New("PROXY header: addresses of two families")
	case source.Addr().Zone() != "" || destination.Addr().Zone() != "":
		return dst, errors.New("PROXY header: an address with a zone")
	case paths && source.IsValid():
		return dst, errors.New("PROXY header: addresses and paths")
	case h.Local && (source.IsValid() || paths):
		return dst, errors.New("PROXY header: Local has no addresses")
	case h.Version == 1:
		return h.append1(dst, source, destination)
	case h.Version == 0 || h.Version == 2:
		return h.append2(dst, source, destination)
	}
	return dst, errors.New("PROXY header: want version 1 or 2")
}

// unmap returns IPv4-mapped addresses as IPv4 ones, if both are.
func unmap(a, b netip.AddrPort) (netip.AddrPort, netip.AddrPort) {
	a4, b4 := a.Addr().Unmap(), b.Addr().Unmap()
	if a4.Is4() && b4.Is4() {
		return netip.AddrPortFrom(a4, a.Port()), netip.AddrPortFrom(b4, b.Port())
	}
	return a, b
}

func (h *Header) append1(dst []byte, source, destination netip.AddrPort) ([]byte, error) {
	if len(h.TLVs) > 0 || h.SourcePath != "" || h.DestinationPath != "" {
		return dst, errors.New("PROXY header: only version 2 has TLVs and unix sockets")
	}
	if !source.IsValid() {
		return append(dst, "PROXY UNKNOWN\r\n"...), nil
	}
	family := "TCP6 "
	if source.Addr().Is4() {
		family = "TCP4 "
	}
	dst = append(dst, prefix1+family...)
	dst = append(source.Addr().AppendTo(dst), ' ')
	dst = append(destination.Addr().AppendTo(dst), ' ')
	dst = appendPort(dst, source.Port())
	dst = appendPort(append(dst, ' '), destination.Port())
	return append(dst, '\r', '\n'), nil
}

func appendPort(dst []byte, port uint16) []byte {
	s := netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()
	return append(dst, s[strings.IndexByte(s, ':')+1:]...)
}

func (h *Header) append2(dst []byte, source, destination netip.AddrPort) ([]byte, error) {
	begin := len(dst)
	command, family := byte(0x21), byte(0)
	var err error
	dst = append(dst, signature...)
	dst = append(dst, 0, 0, 0, 0)
	switch {
	case source.IsValid():
		family = 0x21
		if source.Addr().Is4() {
			family = 0x11
		}
		dst = append(dst, source.Addr().AsSlice()...)
		dst = append(dst, destination.Addr().AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, source.Port())
		dst = binary.BigEndian.AppendUint16(dst, destination.Port())
	case h.SourcePath != "" || h.DestinationPath != "":
		family = 0x31
		if dst, err = appendPath(dst, h.SourcePath); err == nil {
			dst, err = appendPath(dst, h.DestinationPath)
		}
	case h.Local:
		command = 0x20
	}
	tlvs := len(dst)
	dst = append(dst, h.TLVs...)
	n := len(dst) - begin - fixedLen
	if n >= 1<<16 {
		err = errors.New("PROXY header: too long")
	}
	if family == 0 && len(h.TLVs) > 0 {
		err = errors.New("PROXY header: TLVs without addresses, which nobody could find")
	}
	if err != nil {
		return dst[:begin], err
	}
	dst[begin+12], dst[begin+13] = command, family
	binary.BigEndian.PutUint16(dst[begin+14:], uint16(n))
	if err := sum(dst[begin:], tlvs-begin); err != nil {
		return dst[:begin], err
	}
	return dst, nil
}

// sum fills in the checksum if there is a TLV for it. TLVs begin at from.
func sum(b []byte, from int) error {
	for rest := b[from:]; len(rest) > 0; {
		kind, value, next, ok := cutTLV(rest)
		if !ok || kind == TypeCRC32C && len(value) != crc32.Size {
			return errors.New("PROXY header: malformed TLVs")
		}
		if kind == TypeCRC32C {
			binary.BigEndian.PutUint32(value, checksum(b, len(b)-len(next)-crc32.Size))
		}
		rest = next
	}
	return nil
}

// appendPath appends the path of a sockaddr_un.
func appendPath(dst []byte, path string) ([]byte, error) {
	if len(path) > unixLen || strings.IndexByte(path, 0) >= 0 {
		return dst, errors.New("PROXY header: a path with a zero, or of more than 108 bytes")
	}
	at := len(dst)
	dst = append(dst, make([]byte, unixLen)...)
	copy(dst[at:], path)
	if path != "" && path[0] == '@' {
		dst[at] = 0
	}
	return dst, nil
}
