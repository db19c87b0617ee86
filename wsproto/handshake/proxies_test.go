package handshake

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(all ...string) (list []netip.Prefix) {
	for _, p := range all {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

func TestClientAddr(t *testing.T) {
	plain := &Proxies{Trusted: prefixes("10.0.0.0/8", "fd00::/8")}
	seven := &Proxies{Trusted: plain.Trusted, Field: "Forwarded"}
	unix := &Proxies{TrustUnix: true}
	for _, test := range []struct {
		name    string
		proxies *Proxies
		peer    string // "": a unix socket
		lines   []string
		want    string // "": the peer
	}{
		{name: "nobody is trusted", peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 192.0.2.1"}},
		{name: "a stranger", proxies: plain, peer: "192.0.2.9:1", lines: []string{"X-Forwarded-For: 192.0.2.1"}},
		{name: "nothing is told", proxies: plain, peer: "10.0.0.1:1"},
		{name: "told", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "any case", proxies: plain, peer: "10.0.0.1:1", lines: []string{"x-fOrwarded-for: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the peer is mapped", proxies: plain, peer: "[::ffff:10.0.0.1]:1",
			lines: []string{"X-Forwarded-For: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the peer has a zone", proxies: &Proxies{Trusted: prefixes("fe80::/10")}, peer: "[fe80::1%lo]:1",
			lines: []string{"X-Forwarded-For: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the client lies", proxies: plain, peer: "10.0.0.1:1",
			lines: []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the client lies in a line of its own", proxies: plain, peer: "10.0.0.1:1",
			lines: []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "several proxies", proxies: plain, peer: "10.0.0.1:1",
			lines: []string{"X-Forwarded-For: 198.51.100.1, 192.0.2.1, 10.0.0.3", "X-Forwarded-For: 10.0.0.2"}, want: "192.0.2.1:0"},
		{name: "trusted ones only", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"},
			want: "10.0.0.3:0"},
		{name: "garbage from the client", proxies: plain, peer: "10.0.0.1:1",
			lines: []string{"X-Forwarded-For: \"x, ;=\x80, 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "garbage from a proxy", proxies: plain, peer: "10.0.0.1:1",
			lines: []string{"X-Forwarded-For: 192.0.2.1, garbage, 10.0.0.2"}, want: "10.0.0.2:0"},
		{name: "unknown", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 192.0.2.1, unknown"}},
		{name: "empty elements", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: , 192.0.2.1 ,, "},
			want: "192.0.2.1:0"},
		{name: "port", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 192.0.2.1:81"}, want: "192.0.2.1:81"},
		{name: "IPv6", proxies: plain, peer: "[fd00::1]:1", lines: []string{"X-Forwarded-For: 2001:db8::1"}, want: "[2001:db8::1]:0"},
		{name: "IPv6 in brackets", proxies: plain, peer: "[fd00::1]:1", lines: []string{"X-Forwarded-For: [2001:db8::1]"},
			want: "[2001:db8::1]:0"},
		{name: "IPv6 with a port", proxies: plain, peer: "[fd00::1]:1", lines: []string{"X-Forwarded-For: [2001:db8::1]:81"},
			want: "[2001:db8::1]:81"},
		{name: "mapped", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: ::ffff:192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "zone", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: fe80::1%1"}},
		{name: "IPv4 in brackets", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: [192.0.2.1]"}},
		{name: "behind the bracket", proxies: plain, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: [2001:db8::1]81"}},
		{name: "the other field", proxies: plain, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=198.51.100.1"}},
		{name: "the other field, too", proxies: seven, peer: "10.0.0.1:1", lines: []string{"X-Forwarded-For: 198.51.100.1"}},
		{name: "unix", proxies: unix, lines: []string{"X-Forwarded-For: 192.0.2.2, 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "unix is not trusted", proxies: plain, lines: []string{"X-Forwarded-For: 192.0.2.1"}},

		// RFC 7239 section 4
		{name: "token", proxies: seven, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"},
			want: "192.0.2.60:0"},
		{name: "quoted", proxies: seven, peer: "10.0.0.1:1", lines: []string{`Forwarded: For="[2001:db8:cafe::17]:4711"`},
			want: "[2001:db8:cafe::17]:4711"},
		{name: "quoted IPv4", proxies: seven, peer: "10.0.0.1:1", lines: []string{`Forwarded: for="192.0.2.43:47011"`},
			want: "192.0.2.43:47011"},
		{name: "spaces", proxies: seven, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=1.1.1.1 ,  by=203.0.113.43 ; for=192.0.2.1 "},
			want: "192.0.2.1:0"},
		{name: "several lines", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{"Forwarded: for=198.51.100.1, for=192.0.2.1", `Forwarded: for=10.0.0.3, for="10.0.0.2:80"`}, want: "192.0.2.1:0"},
		{name: "obfuscated", proxies: seven, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=192.0.2.1, for=_hidden, for=10.0.0.2"},
			want: "10.0.0.2:0"},
		{name: "obfuscated port", proxies: seven, peer: "10.0.0.1:1", lines: []string{`Forwarded: for="192.0.2.1:_http"`},
			want: "192.0.2.1:0"},
		{name: "without for", proxies: seven, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=192.0.2.1, by=10.0.0.2"}},
		{name: "for twice", proxies: seven, peer: "10.0.0.1:1", lines: []string{"Forwarded: for=192.0.2.1;for=192.0.2.2"}},
		{name: "an open quote of the client", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for="198.51.100.1, for=192.0.2.1`}, want: "192.0.2.1:0"},
		{name: "a quote of the client with a comma", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1;x="a, for=10.0.0.9", for=192.0.2.1`}, want: "192.0.2.1:0"},
		{name: "a comma in quotes", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1, for=192.0.2.1;x="a, for=198.51.100.2;for=1.1.1.1"`}, want: "192.0.2.1:0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var peer netip.AddrPort
			if test.peer != "" {
				peer = netip.MustParseAddrPort(test.peer)
			}
			want := peer
			if test.want != "" {
				want = netip.MustParseAddrPort(test.want)
			}
			header := make(http.Header)
			for _, line := range test.lines {
				name, value, _ := strings.Cut(line, ": ")
				header.Add(name, value)
			}
			if got := test.proxies.ClientAddr(peer, header.Values); got != want {
				t.Errorf("of an http.Header: %v, want %v", got, want)
			}
			if test.name == "garbage from the client" {
				return // ParseRequest refuses some of it
			}
			var r Request
			head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(test.lines, "\r\n"), "\r\n")
			if _, err := ParseRequest([]byte(head), nil, &r, nil); err != nil {
				t.Fatal(err)
			}
			if got := r.ClientAddr(peer, test.proxies); got != want {
				t.Errorf("of a Request: %v, want %v", got, want)
			}
		})
	}
}

func TestProxiesCheck(t *testing.T) {
	for _, test := range []struct {
		name    string
		proxies *Proxies
		want    string
	}{
		{name: "none"},
		{name: "nobody", proxies: &Proxies{}, want: "trusts nobody"},
		{name: "zero prefix", proxies: &Proxies{Trusted: make([]netip.Prefix, 1)}, want: "want the prefix"},
		{name: "mapped", proxies: &Proxies{Trusted: prefixes("::ffff:10.0.0.0/104")}, want: "want the prefix"},
		{name: "field", proxies: &Proxies{TrustUnix: true, Field: "X-Real-IP"}, want: "Proxies.Field"},
		{name: "valid", proxies: &Proxies{Trusted: prefixes("::/0"), Field: "Forwarded"}},
	} {
		err := test.proxies.Check()
		if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// FuzzClientAddr: whatever a client has written in front does not change what the proxy tells.
func FuzzClientAddr(f *testing.F) {
	for _, s := range []string{"", "for=1.1.1.1", `for="x`, `"`, `\"`, "10.0.0.1", ",;=\"", `for="10.0.0.1, for=10.0.0.1`} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, written string, seven bool) {
		p := &Proxies{Trusted: prefixes("10.0.0.0/8")}
		adds := "192.0.2.1:80"
		if seven {
			p.Field, adds = forwarded, `by=10.0.0.1;for="192.0.2.1:80";host=a`
		}
		for _, lines := range [][]string{{written + ", " + adds}, {written, adds}, {written + "," + adds + ",,"}} {
			got := p.ClientAddr(netip.MustParseAddrPort("10.0.0.1:1"), func(string) []string { return lines })
			if got != netip.MustParseAddrPort("192.0.2.1:80") {
				t.Fatalf("%q: %v", lines, got)
			}
		}
		p.ClientAddr(netip.MustParseAddrPort("10.0.0.1:1"), func(string) []string { return []string{written} })
	})
}
