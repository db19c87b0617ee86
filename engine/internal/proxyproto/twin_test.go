package proxyproto

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"testing"
)

var (
	twinLine = regexp.MustCompile(`^PROXY (TCP4|TCP6) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+)` +
		` (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})$`)
	twinUnk = regexp.MustCompile(`^PROXY UNKNOWN($| )`)
)

// twin reads a header that must be whole, as a page of a textbook would. n is -1 if b is not one.
func twin(b []byte) (h Header, n int) {
	if bytes.HasPrefix(b, []byte("PROXY ")) {
		line, _, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok || len(line) > 105 || bytes.ContainsAny(line, "\r\n") {
			return h, -1
		}
		h.Version = 1
		if twinUnk.Match(line) {
			return h, len(line) + 2
		}
		m := twinLine.FindStringSubmatch(string(line))
		if m == nil {
			return h, -1
		}
		var ends [2]netip.AddrPort
		for i := range ends {
			ip := net.ParseIP(m[2+i])
			port, _ := strconv.Atoi(m[4+i])
			has6 := bytes.ContainsRune([]byte(m[2+i]), ':')
			if ip == nil || has6 != (m[1] == "TCP6") || port > 65535 {
				return h, -1
			}
			a := netip.AddrFrom16([16]byte(ip.To16()))
			if !has6 {
				a = a.Unmap()
			}
			ends[i] = netip.AddrPortFrom(a, uint16(port))
		}
		h.Source, h.Destination = ends[0], ends[1]
		return h, len(line) + 2
	}
	if len(b) < 16 || string(b[:12]) != "\r\n\r\n\x00\r\nQUIT\n" {
		return h, -1
	}
	n = 16 + int(b[14])*256 + int(b[15])
	if n > limit || n > len(b) {
		return h, -1
	}
	h.Version = 2
	switch b[12] {
	case 0x20:
		h.Local = true
		return h, n
	case 0x21:
	default:
		return h, -1
	}
	block := b[16:n]
	var used int
	switch b[13] {
	case 0x00, 0x01, 0x02, 0x10, 0x20, 0x30:
		return h, n
	case 0x11, 0x12:
		used = 12
	case 0x21, 0x22:
		used = 36
	case 0x31, 0x32:
		used = 216
	default:
		return h, -1
	}
	if len(block) < used {
		return h, -1
	}
	if used == 216 {
		h.SourcePath, h.DestinationPath = twinPath(block[:108]), twinPath(block[108:216])
	} else {
		size := (used - 4) / 2
		port := func(at int) uint16 { return uint16(block[at])*256 + uint16(block[at+1]) }
		a, _ := netip.AddrFromSlice(block[:size])
		d, _ := netip.AddrFromSlice(block[size : 2*size])
		h.Source, h.Destination = netip.AddrPortFrom(a, port(2*size)), netip.AddrPortFrom(d, port(2*size+2))
	}
	h.TLVs = block[used:]
	sums := 0
	for at := used; at < len(block); {
		if at+3 > len(block) {
			return h, -1
		}
		length := int(block[at+1])*256 + int(block[at+2])
		if at+3+length > len(block) {
			return h, -1
		}
		if block[at] == 3 {
			zeroed := bytes.Clone(b[:n])
			if length != 4 || sums > 0 {
				return h, -1
			}
			sums++
			got := fmt.Sprintf("%x", zeroed[16+at+3:16+at+7])
			copy(zeroed[16+at+3:], "\x00\x00\x00\x00")
			if got != fmt.Sprintf("%08x", crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli))) {
				return h, -1
			}
		}
		at += 3 + length
	}
	return h, n
}

func twinPath(b []byte) string {
	s := string(b)
	if s[0] == 0 {
		if s[1] == 0 {
			return ""
		}
		s = "@" + s[1:]
	}
	for i := range s {
		if s[i] == 0 {
			return s[:i]
		}
	}
	return s
}

// FuzzParse: the twin accepts the same and reads the same, the result does not depend on how the
// bytes were split, and what is accepted can be sent again.
func FuzzParse(f *testing.F) {
	for _, test := range valid {
		f.Add([]byte(test.in + "behind"))
	}
	for _, test := range invalid {
		f.Add([]byte(test.in))
	}
	summed := Header{Source: addr("192.0.2.1:1"), Destination: addr("192.0.2.2:2")}
	summed.AddTLV(TypeCRC32C, make([]byte, 4))
	b, _ := summed.Append(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, n, err := Parse(b, limit)
		if !bytes.Equal(before, b) {
			t.Fatal("Parse has changed its input")
		}
		want, m := twin(b)
		if accepted := err == nil && n > 0; accepted != (m > 0) || accepted && (n != m || !same(h, want)) {
			t.Fatalf("%+v, %d, %v; the twin says %+v, %d", h, n, err, want, m)
		}
		if hs, ns, errs := split(b); ns != n || (err == nil) != (errs == nil) || err == nil && n > 0 && !same(h, hs) ||
			err != nil && err.Error() != errs.Error() {
			t.Fatalf("%+v, %d, %v; byte by byte %+v, %d, %v", h, n, err, hs, ns, errs)
		}
		if err != nil || n == 0 {
			return
		}
		again, err := h.Append(nil)
		if err != nil { // what is told without addresses
			if len(h.TLVs) == 0 {
				t.Fatal(err)
			}
			return
		}
		h.Source, h.Destination = unmap(h.Source, h.Destination)
		back, k, err := Parse(again, MaxLen)
		back.Source, back.Destination = unmap(back.Source, back.Destination)
		if err != nil || k != len(again) || !same(back, h) {
			t.Fatalf("sent as %q: %+v, %d, %v, want %+v", again, back, k, err, h)
		}
	})
}
