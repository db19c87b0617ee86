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
		proxies *Proxies // nil: those at 10.0.0.0/8 and fd00::/8
		peer    string   // "": 10.0.0.1:1
		lines   []string // XFF stands for X-Forwarded-For
		want    string   // "": the peer
	}{
		{name: "nobody is trusted", proxies: &Proxies{}, lines: []string{"XFF: 192.0.2.1"}},
		{name: "a stranger", peer: "192.0.2.9:1", lines: []string{"XFF: 192.0.2.1"}},
		{name: "nothing is told"},
		{name: "told", lines: []string{"XFF: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "any case", lines: []string{"x-fOrwarded-for: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the peer is mapped", peer: "[::ffff:10.0.0.1]:1",
			lines: []string{"XFF: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the peer has a zone", proxies: &Proxies{Trusted: prefixes("fe80::/10")}, peer: "[fe80::1%lo]:1",
			lines: []string{"XFF: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the client lies", peer: "10.0.0.1:1",
			lines: []string{"XFF: 198.51.100.1, 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "the client lies in a line of its own", peer: "10.0.0.1:1",
			lines: []string{"XFF: 198.51.100.1", "XFF: 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "several proxies", peer: "10.0.0.1:1",
			lines: []string{"XFF: 198.51.100.1, 192.0.2.1, 10.0.0.3", "XFF: 10.0.0.2"}, want: "192.0.2.1:0"},
		{name: "trusted ones only", lines: []string{"XFF: 10.0.0.3, 10.0.0.2"},
			want: "10.0.0.3:0"},
		{name: "garbage from the client", peer: "10.0.0.1:1",
			lines: []string{"XFF: \"x, ;=\x80, 192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "garbage from a proxy", peer: "10.0.0.1:1",
			lines: []string{"XFF: 192.0.2.1, garbage, 10.0.0.2"}, want: "10.0.0.2:0"},
		{name: "unknown", lines: []string{"XFF: 192.0.2.1, unknown"}},
		{name: "empty elements", lines: []string{"XFF: , 192.0.2.1 ,, "},
			want: "192.0.2.1:0"},
		{name: "port", lines: []string{"XFF: 192.0.2.1:81"}, want: "192.0.2.1:81"},
		{name: "IPv6", peer: "[fd00::1]:1", lines: []string{"XFF: 2001:db8::1"}, want: "[2001:db8::1]:0"},
		{name: "IPv6 in brackets", peer: "[fd00::1]:1", lines: []string{"XFF: [2001:db8::1]"},
			want: "[2001:db8::1]:0"},
		{name: "IPv6 with a port", peer: "[fd00::1]:1", lines: []string{"XFF: [2001:db8::1]:81"},
			want: "[2001:db8::1]:81"},
		{name: "mapped", lines: []string{"XFF: ::ffff:192.0.2.1"}, want: "192.0.2.1:0"},
		{name: "zone", lines: []string{"XFF: fe80::1%1"}},
		{name: "IPv4 in brackets", lines: []string{"XFF: [192.0.2.1]"}},
		{name: "behind the bracket", lines: []string{"XFF: [2001:db8::1]81"}},
		{name: "the other field", lines: []string{"Forwarded: for=198.51.100.1"}},
		{name: "the other field, too", proxies: seven, lines: []string{"XFF: 198.51.100.1"}},
		{name: "unix", proxies: unix, peer: "unix", lines: []string{"XFF: 192.0.2.2, 192.0.2.1"},
			want: "192.0.2.1:0"},
		{name: "unix is not trusted", peer: "unix", lines: []string{"XFF: 192.0.2.1"}},

		// RFC 7239 section 4
		{name: "token", proxies: seven, lines: []string{"Forwarded: for=192.0.2.60;proto=http;by=203.0.113.43"},
			want: "192.0.2.60:0"},
		{name: "quoted", proxies: seven, lines: []string{`Forwarded: For="[2001:db8:cafe::17]:4711"`},
			want: "[2001:db8:cafe::17]:4711"},
		{name: "quoted IPv4", proxies: seven, lines: []string{`Forwarded: for="192.0.2.43:47011"`},
			want: "192.0.2.43:47011"},
		{name: "spaces", proxies: seven,
			lines: []string{"Forwarded: for=1.1.1.1 ,  by=203.0.113.43 ; for=192.0.2.1 "},
			want:  "192.0.2.1:0"},
		{name: "several lines", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{"Forwarded: for=198.51.100.1, for=192.0.2.1", `Forwarded: for=10.0.0.3, for="10.0.0.2:80"`},
			want:  "192.0.2.1:0"},
		{name: "obfuscated", proxies: seven, lines: []string{"Forwarded: for=192.0.2.1, for=_hidden, for=10.0.0.2"},
			want: "10.0.0.2:0"},
		{name: "obfuscated port", proxies: seven, lines: []string{`Forwarded: for="192.0.2.1:_http"`},
			want: "192.0.2.1:0"},
		{name: "without for", proxies: seven, lines: []string{"Forwarded: for=192.0.2.1, by=10.0.0.2"}},
		{name: "for twice", proxies: seven, lines: []string{"Forwarded: for=192.0.2.1;for=192.0.2.2"}},
		{name: "an open quote of the client", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for="198.51.100.1, for=192.0.2.1`}, want: "192.0.2.1:0"},
		{name: "a quote of the client with a comma", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1;x="a, for=10.0.0.9", for=192.0.2.1`}, want: "192.0.2.1:0"},
		{name: "a comma in quotes", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1, for=192.0.2.1;x="a, for=198.51.100.2;for=1.1.1.1"`},
			want:  "192.0.2.1:0"},
		{name: "an escaped quote of the proxy", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1;x=", for=192.0.2.1;host="a\",for=10.0.0.9"`},
			want:  "192.0.2.1:0"},
		{name: "an escaped backslash of the proxy", proxies: seven, peer: "10.0.0.1:1",
			lines: []string{`Forwarded: for=198.51.100.1;x=", for=192.0.2.1;host="a\\"`}, want: "192.0.2.1:0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			peer := netip.MustParseAddrPort("10.0.0.1:1")
			switch {
			case test.peer == "unix":
				peer = netip.AddrPort{}
			case test.peer != "":
				peer = netip.MustParseAddrPort(test.peer)
			}
			proxies := test.proxies
			if proxies == nil {
				proxies = plain
			}
			want := peer
			if test.want != "" {
				want = netip.MustParseAddrPort(test.want)
			}
			header := make(http.Header)
			for i := range test.lines {
				test.lines[i] = strings.Replace(test.lines[i], "XFF:", "X-Forwarded-For:", 1)
				line := test.lines[i]
				name, value, _ := strings.Cut(line, ": ")
				header.Add(name, value)
			}
			if got := proxies.ClientAddr(peer, header.Values); got != want {
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
			if got := r.ClientAddr(peer, proxies); got != want {
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
		{name: "nobody", proxies: &Proxies{}, want: "nobody is trusted"},
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
	for _, s := range []string{"", "for=1.1.1.1", `for="x`, `"`, `\"`, "10.0.0.1", ",;=\"",
		`for="10.0.0.1, for=10.0.0.1`} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, written string, seven bool) {
		p := &Proxies{Trusted: prefixes("10.0.0.0/8")}
		adds := "192.0.2.1:80"
		if seven {
			p.Field, adds = forwarded, `by=10.0.0.1;for="192.0.2.1:80";host="a\",\\"`
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
