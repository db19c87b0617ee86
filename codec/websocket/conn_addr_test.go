package websocket

import (
	"net/netip"
	"testing"
	"unsafe"
)

func TestRemoteIsCompact(t *testing.T) {
	if n := unsafe.Sizeof(remote{}); n != 18 {
		t.Errorf("%d bytes", n)
	}
	for _, test := range []struct{ name, in, out string }{
		{name: "IPv4", in: "192.0.2.1:80", out: "192.0.2.1:80"},
		{name: "IPv4 in IPv6", in: "[::ffff:192.0.2.1]:80", out: "192.0.2.1:80"},
		{name: "IPv6", in: "[2001:db8::1]:65535", out: "[2001:db8::1]:65535"},
		{name: "zone", in: "[fe80::1%eth0]:1", out: "[fe80::1]:1"},
		{name: "all zero", in: "0.0.0.0:0", out: "0.0.0.0:0"},
	} {
		if got := remoteOf(netip.MustParseAddrPort(test.in)).addrPort(); got != netip.MustParseAddrPort(test.out) {
			t.Errorf("%s: %v, want %s", test.name, got, test.out)
		}
	}
	if got := remoteOf(netip.AddrPort{}).addrPort(); got.IsValid() {
		t.Errorf("a unix socket: %v", got)
	}
}
