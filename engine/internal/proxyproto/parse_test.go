package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const limit = 4096

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// v2 returns a header of version 2.
func v2(command, family byte, block string) string {
	return signature + string([]byte{command, family, byte(len(block) >> 8), byte(len(block))}) + block
}

const (
	block4 = "\xc0\x00\x02\x01\xcb\x00\x71\x05\x30\x39\x01\xbb"
	block6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x39\x01\xbb"
)

func path(s string) string { return s + strings.Repeat("\x00", unixLen-len(s)) }

// valid are headers that must be accepted.
var valid = []struct {
	name, in string
	want     Header
}{
	{name: "TCP4", in: "PROXY TCP4 192.0.2.1 203.0.113.5 12345 443\r\n",
		want: Header{Version: 1, Source: addr("192.0.2.1:12345"), Destination: addr("203.0.113.5:443")}},
	{name: "TCP4, longest", in: "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
		want: Header{Version: 1, Source: addr("255.255.255.255:65535"), Destination: addr("255.255.255.255:65535")}},
	{name: "TCP4, port 0", in: "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
		want: Header{Version: 1, Source: addr("0.0.0.0:0"), Destination: addr("0.0.0.0:0")}},
	{name: "TCP6", in: "PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:2 1 2\r\n",
		want: Header{Version: 1, Source: addr("[2001:db8::1]:1"), Destination: addr("[2001:db8::2]:2")}},
	{name: "TCP6, mapped", in: "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n",
		want: Header{Version: 1, Source: addr("[::ffff:192.0.2.1]:1"), Destination: addr("[::ffff:192.0.2.2]:2")}},
	{name: "UNKNOWN", in: "PROXY UNKNOWN\r\n", want: Header{Version: 1}},
	{name: "UNKNOWN, longest", in: "PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", want: Header{Version: 1}},
	{name: "IPv4", in: v2(0x21, 0x11, block4),
		want: Header{Version: 2, Source: addr("192.0.2.1:12345"), Destination: addr("203.0.113.5:443"),
			TLVs: []byte{}}},
	{name: "IPv4, datagrams", in: v2(0x21, 0x12, block4),
		want: Header{Version: 2, Source: addr("192.0.2.1:12345"), Destination: addr("203.0.113.5:443"),
			TLVs: []byte{}}},
	{name: "IPv6", in: v2(0x21, 0x21, block6),
		want: Header{Version: 2, Source: addr("[2001:db8::1]:12345"), Destination: addr("[2001:db8::2]:443"),
			TLVs: []byte{}}},
	{name: "unix", in: v2(0x21, 0x31, path("")+path("/run/a")),
		want: Header{Version: 2, DestinationPath: "/run/a", TLVs: []byte{}}},
	{name: "unix, abstract", in: v2(0x21, 0x31, path("\x00a")+path(strings.Repeat("x", unixLen))),
		want: Header{Version: 2, SourcePath: "@a", DestinationPath: strings.Repeat("x", unixLen), TLVs: []byte{}}},
	{name: "LOCAL", in: v2(0x20, 0, ""), want: Header{Version: 2, Local: true}},
	{name: "LOCAL, with a block", in: v2(0x20, 0xff, "anything"), want: Header{Version: 2, Local: true}},
	{name: "UNSPEC", in: v2(0x21, 0, "anything"), want: Header{Version: 2}},
	{name: "UNSPEC transport", in: v2(0x21, 0x10, block4), want: Header{Version: 2}},
	{name: "unknown TLVs", in: v2(0x21, 0x11, block4+"\xe0\x00\x02hi\x99\x00\x00"),
		want: Header{Version: 2, Source: addr("192.0.2.1:12345"), Destination: addr("203.0.113.5:443"),
			TLVs: []byte("\xe0\x00\x02hi\x99\x00\x00")}},
	{name: "as long as it may be", in: v2(0x21, 0x11, block4+"\x04\x0f\xe1"+strings.Repeat("x", limit-31)),
		want: Header{Version: 2, Source: addr("192.0.2.1:12345"), Destination: addr("203.0.113.5:443"),
			TLVs: []byte("\x04\x0f\xe1" + strings.Repeat("x", limit-31))}},
}

// invalid are not headers. section is the one of the error, "" for ErrNone.
var invalid = []struct{ name, in, section string }{
	{"HTTP", "GET / HTTP/1.1\r\n\r\n", ""},
	{"lower case", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ""},
	{"tab", "PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n", ""},
	{"leading space", " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", ""},
	{"empty line", "\r\n\r\nX", ""},
	{"broken signature", "\r\n\r\n\x00\r\nQUIT\r", ""},
	{"two spaces", "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "2.1"},
	{"two spaces inside", "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "2.1"},
	{"trailing space", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "2.1"},
	{"no ports", "PROXY TCP4 192.0.2.1 192.0.2.2\r\n", "2.1"},
	{"no protocol", "PROXY \r\n", "2.1"},
	{"lower case protocol", "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "2.1"},
	{"UDP", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "2.1"},
	{"UNKNOWN with more", "PROXY UNKNOWNS\r\n", "2.1"},
	{"leading zero of a port", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "2.1"},
	{"sign of a port", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "2.1"},
	{"port too large", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "2.1"},
	{"leading zero of an address", "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "2.1"},
	{"short address", "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "2.1"},
	{"IPv6 in TCP4", "PROXY TCP4 ::1 ::2 1 2\r\n", "2.1"},
	{"IPv4 in TCP6", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "2.1"},
	{"zone", "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", "2.1"},
	{"brackets", "PROXY TCP6 [::1] [::2] 1 2\r\n", "2.1"},
	{"LF alone", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "2.1"},
	{"CR alone", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r.", "2.1"},
	{"too long by one", "PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "2.1"},
	{"endless", "PROXY UNKNOWN " + strings.Repeat("f", 93), "2.1"},
	{"version 1 in binary", v2(0x11, 0x11, block4), "2.2"},
	{"version 3", v2(0x31, 0x11, block4), "2.2"},
	{"command", v2(0x22, 0x11, block4), "2.2"},
	{"family", v2(0x21, 0x41, block4), "2.2"},
	{"transport", v2(0x21, 0x13, block4), "2.2"},
	{"IPv4 too short", v2(0x21, 0x11, block4[1:]), "2.2"},
	{"IPv6 too short", v2(0x21, 0x21, block6[1:]), "2.2"},
	{"unix too short", v2(0x21, 0x31, path("/a")), "2.2"},
	{"longer than the limit", v2(0x21, 0x11, strings.Repeat("x", limit-15))[:16], "2.2"},
	{"head of a TLV", v2(0x21, 0x11, block4+"\x01\x00"), "2.2"},
	{"TLV too long", v2(0x21, 0x11, block4+"\x01\x00\x03ab"), "2.2"},
	{"wrong checksum", v2(0x21, 0x11, block4+"\x03\x00\x04abcd"), "2.2.3"},
	{"short checksum", v2(0x21, 0x11, block4+"\x03\x00\x02ab"), "2.2.3"},
}

// split is Parse of b whose bytes come one by one.
func split(b []byte) (h Header, n int, err error) {
	for i := range len(b) + 1 {
		if h, n, err = Parse(b[:i:i], limit); n != 0 || err != nil {
			break
		}
	}
	return h, n, err
}

func TestParse(t *testing.T) {
	for _, test := range valid {
		for _, behind := range []string{"", "\r\n", "more", "PROXY "} {
			b := []byte(test.in + behind)
			h, n, err := Parse(b, limit)
			if err != nil || n != len(test.in) || !reflect.DeepEqual(h, test.want) {
				t.Errorf("%s: %+v, %d, %v, want %+v", test.name, h, n, err, test.want)
			}
			if h, n, err := split(b); err != nil || n != len(test.in) || !reflect.DeepEqual(h, test.want) {
				t.Errorf("%s byte by byte: %+v, %d, %v", test.name, h, n, err)
			}
		}
		for i := range len(test.in) {
			if _, n, err := Parse([]byte(test.in[:i]), limit); n != 0 || err != nil {
				t.Errorf("%s, %d bytes of it: %d, %v", test.name, i, n, err)
			}
		}
	}
}

func TestParseInvalid(t *testing.T) {
	for _, test := range invalid {
		for name, parse := range map[string]func([]byte) (Header, int, error){
			"whole": func(b []byte) (Header, int, error) { return Parse(b, limit) }, "byte by byte": split,
		} {
			_, _, err := parse([]byte(test.in))
			var e *Error
			switch {
			case err == nil:
				t.Errorf("%s, %s: accepted", test.name, name)
			case test.section == "" && err != ErrNone,
				test.section != "" && (!errors.As(err, &e) || e.Section != test.section):
				t.Errorf("%s, %s: %v, want section %q", test.name, name, err, test.section)
			case test.section != "" && !strings.Contains(err.Error(), "section "+test.section):
				t.Errorf("%s: %v names no section", test.name, err)
			}
		}
	}
}

// TestChecksum: one that is right is accepted, wherever it stands, and each flipped bit is found.
func TestChecksum(t *testing.T) {
	h := Header{Source: addr("192.0.2.1:1"), Destination: addr("192.0.2.2:2")}
	h.AddTLV(TypeAuthority, []byte("example.com"))
	h.AddTLV(TypeCRC32C, make([]byte, 4))
	h.AddTLV(TypeNoop, nil)
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, n, err := Parse(b, limit)
	if err != nil || n != len(b) {
		t.Fatal(n, err)
	}
	if name, ok := got.TLV(TypeAuthority); !ok || string(name) != "example.com" {
		t.Errorf("the authority is %q", name)
	}
	if _, ok := got.TLV(TypeALPN); ok {
		t.Error("there is no ALPN")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if h, n, err := Parse(b, limit); err == nil && n == len(b) && h.Source.IsValid() && b[28+14] == TypeCRC32C {
				t.Errorf("bit %d of byte %d is flipped, and the header is accepted: %+v", bit, i, h)
			}
			b[i] ^= 1 << bit
		}
	}
}

func TestChecksumTwice(t *testing.T) {
	h := Header{Source: addr("192.0.2.1:1"), Destination: addr("192.0.2.2:2")}
	h.AddTLV(TypeCRC32C, make([]byte, 4))
	h.AddTLV(TypeCRC32C, make([]byte, 4))
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Parse(b, limit); err == nil {
		t.Error("two checksums are accepted")
	}
}

func TestAppend(t *testing.T) {
	for _, test := range valid {
		b, err := test.want.Append([]byte("in front"))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got, n, err := Parse(b[len("in front"):], limit)
		got.Source, got.Destination = unmap(got.Source, got.Destination)
		want := test.want
		want.Source, want.Destination = unmap(want.Source, want.Destination)
		if err != nil || n != len(b)-len("in front") || !same(got, want) {
			t.Errorf("%s: %+v, %d, %v, want %+v", test.name, got, n, err, want)
		}
	}
}

// same compares without the difference of nil and empty.
func same(a, b Header) bool {
	tlvs := string(a.TLVs) == string(b.TLVs)
	a.TLVs, b.TLVs = nil, nil
	return tlvs && reflect.DeepEqual(a, b)
}

func TestAppendInvalid(t *testing.T) {
	a4, a6 := addr("192.0.2.1:1"), addr("[2001:db8::1]:1")
	for _, test := range []struct {
		name string
		h    Header
	}{
		{"version", Header{Version: 3}},
		{"one address", Header{Source: a4}},
		{"two families", Header{Source: a4, Destination: a6}},
		{"zone", Header{Source: addr("[fe80::1%1]:1"), Destination: a6}},
		{"address and path", Header{Source: a4, Destination: a4, SourcePath: "/a"}},
		{"local with addresses", Header{Local: true, Source: a4, Destination: a4}},
		{"unix in version 1", Header{Version: 1, SourcePath: "/a"}},
		{"TLVs in version 1", Header{Version: 1, Source: a4, Destination: a4, TLVs: []byte{4, 0, 0}}},
		{"TLVs without addresses", Header{TLVs: []byte{4, 0, 0}}},
		{"malformed TLVs", Header{Source: a4, Destination: a4, TLVs: []byte{4, 0, 1}}},
		{"malformed checksum", Header{Source: a4, Destination: a4, TLVs: []byte{3, 0, 1, 0}}},
		{"too long", Header{Source: a4, Destination: a4, TLVs: append(binary.BigEndian.AppendUint16([]byte{4}, 1<<16-1),
			make([]byte, 1<<16-1)...)}},
		{"long path", Header{SourcePath: strings.Repeat("x", 109)}},
		{"path with a zero", Header{SourcePath: "a\x00b"}},
	} {
		if b, err := test.h.Append([]byte("x")); err == nil || string(b) != "x" {
			t.Errorf("%s: %q, %v", test.name, b, err)
		}
	}
}
