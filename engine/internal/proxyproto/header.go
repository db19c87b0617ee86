package proxyproto

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Header is engine.ProxyHeader, which has the same fields.
type Header struct {
	Version                     int
	Local                       bool
	Source, Destination         netip.AddrPort
	SourcePath, DestinationPath string
	TLVs                        []byte
}

// The types of TLVs that are registered: section 2.2 of the specification.
const (
	TypeALPN      = 0x01
	TypeAuthority = 0x02 // the host name, such as the server name of TLS
	TypeCRC32C    = 0x03 // of the header. It was checked, and is computed for a header that is sent
	TypeNoop      = 0x04
	TypeUniqueID  = 0x05
	TypeSSL       = 0x20 // its value has TLVs of its own, behind five bytes
	TypeNetNS     = 0x30
)

// TLV returns the value of the first TLV of a type. It is part of TLVs.
func (h *Header) TLV(kind byte) (value []byte, ok bool) {
	for b := h.TLVs; len(b) > 0; {
		k, v, rest, ok := cutTLV(b)
		if !ok {
			break
		}
		if k == kind {
			return v, true
		}
		b = rest
	}
	return nil, false
}

// AddTLV adds a TLV. For TypeCRC32C value is four bytes of any content.
func (h *Header) AddTLV(kind byte, value []byte) {
	h.TLVs = append(h.TLVs, kind, byte(len(value)>>8), byte(len(value)))
	h.TLVs = append(h.TLVs, value...)
}

// tlvHead is the length of what stands in front of a value.
const tlvHead = 3

// cutTLV cuts the first TLV off b. ok is whether it is whole.
func cutTLV(b []byte) (kind byte, value, rest []byte, ok bool) {
	if len(b) < tlvHead {
		return 0, nil, nil, false
	}
	n := tlvHead + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < n {
		return 0, nil, nil, false
	}
	return b[0], b[tlvHead:n:n], b[n:], true
}

// Error is what is wrong with a header.
type Error struct {
	Section string // of proxy-protocol.txt
	Text    string
}

// Error returns the text and the section.
func (e *Error) Error() string {
	return fmt.Sprintf("PROXY header: %s (proxy-protocol.txt section %s)", e.Text, e.Section)
}

func bad(section, text string, args ...any) error {
	return &Error{Section: section, Text: fmt.Sprintf(text, args...)}
}
