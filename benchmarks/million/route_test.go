package main

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// attributes parses a list of attributes: rtnetlink(7).
func attributes(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	all := map[uint16][]byte{}
	for len(b) > 0 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) || n%4 != 0 {
			t.Fatalf("an attribute of %d bytes where %d are left", n, len(b))
		}
		all[binary.NativeEndian.Uint16(b[2:])] = b[4:n]
		b = b[n:]
	}
	return all
}

func TestLoopbackRoute(t *testing.T) {
	b := loopbackRoute(7)
	if n := binary.NativeEndian.Uint32(b); int(n) != len(b) {
		t.Errorf("the header says %d bytes of %d", n, len(b))
	}
	a := attributes(t, b[unix.NLMSG_HDRLEN+unix.SizeofRtMsg:])
	number := func(n uint32) string { return string(binary.NativeEndian.AppendUint32(nil, n)) }
	for kind, want := range map[uint16]string{
		unix.RTA_DST: "\x7f\x00\x00\x00", unix.RTA_PREFSRC: "\x7f\x00\x00\x01", unix.RTA_OIF: number(7),
	} {
		if string(a[kind]) != want {
			t.Errorf("attribute %d is % x, want % x", kind, a[kind], want)
		}
	}
	if m := attributes(t, a[unix.RTA_METRICS]); string(m[15]) != number(1) {
		t.Errorf("metrics %v", m)
	}
}

// TestNetlinkReturnsErrors sends a request of an unknown kind, which does not change anything.
func TestNetlinkReturnsErrors(t *testing.T) {
	b := loopbackRoute(1)
	binary.NativeEndian.PutUint16(b[4:], 0xfff0)
	if err := netlink(b); err != unix.EOPNOTSUPP && err != unix.EPERM {
		t.Errorf("error %v", err)
	}
}
