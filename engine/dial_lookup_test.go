package engine

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestAddressesAreInterleaved(t *testing.T) {
	for _, test := range []struct{ name, from, network, local, want string }{
		{name: "none", want: "[]"},
		{name: "one", from: "::1", want: "[::1]"},
		{name: "IPv6 first", from: "::1 ::2 ::3 1.1.1.1 1.1.1.2", want: "[::1 1.1.1.1 ::2 1.1.1.2 ::3]"},
		{name: "IPv4 first", from: "1.1.1.1 ::1 1.1.1.2 1.1.1.3", want: "[1.1.1.1 ::1 1.1.1.2 1.1.1.3]"},
		{name: "IPv4 written as IPv6", from: "::ffff:1.1.1.1 ::1", network: "tcp4", want: "[1.1.1.1]"},
		{name: "tcp6", from: "1.1.1.1 ::1", network: "tcp6", want: "[::1]"},
		{name: "of the local family", from: "::1 1.1.1.1", local: "127.0.0.1", want: "[1.1.1.1]"},
		{name: "none of the local family", from: "1.1.1.1", local: "::1", want: "[1.1.1.1]"},
	} {
		var addrs []netip.Addr
		for rest := test.from; rest != ""; {
			var a string
			if n, _ := fmt.Sscan(rest, &a); n == 0 {
				break
			}
			addrs = append(addrs, netip.MustParseAddr(a))
			rest = rest[min(len(a)+1, len(rest)):]
		}
		var local netip.Addr
		if test.local != "" {
			local = netip.MustParseAddr(test.local)
		}
		if got := fmt.Sprint(interleave(suitable(addrs, test.network, local))); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
