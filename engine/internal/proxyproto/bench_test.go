package proxyproto

import "testing"

func BenchmarkParse(b *testing.B) {
	for _, test := range []struct{ name, in string }{
		{"version 1", "PROXY TCP4 192.0.2.1 203.0.113.5 12345 443\r\n"},
		{"version 2", v2(0x21, 0x11, block4)},
	} {
		b.Run(test.name, func(b *testing.B) {
			in := []byte(test.in)
			b.ReportAllocs()
			for b.Loop() {
				if _, n, err := Parse(in, limit); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
