package handshake_test

import (
	"testing"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestHosts: a page whose own name was resolved to the server's address has the origin of the Host
// field, and only the Host tells that it is foreign.
func TestHosts(t *testing.T) {
	local := []string{"localhost", "127.0.0.1:8080", "[::1]"}
	secure := []string{"https://example.com"}
	for _, test := range []struct {
		name         string
		hosts        []string
		host, origin string
		want         int // 0: allowed
	}{
		{name: "no hosts", host: "evil.example:8080", origin: "http://evil.example:8080"},
		{name: "rebinding", hosts: local, host: "evil.example:8080", origin: "http://evil.example:8080", want: 421},
		{name: "rebinding without an origin", hosts: local, host: "evil.example:8080", want: 421},
		{name: "no host", hosts: local, want: 421},
		{name: "name", hosts: local, host: "LocalHost", origin: "http://localhost"},
		{name: "name, any port", hosts: local, host: "localhost:99", origin: "http://localhost:99"},
		{name: "longer name", hosts: local, host: "localhost.evil.example", want: 421},
		{name: "port", hosts: local, host: "127.0.0.1:8080", origin: "http://127.0.0.1:8080"},
		{name: "other port", hosts: local, host: "127.0.0.1:81", want: 421},
		{name: "IPv6", hosts: local, host: "[::1]", origin: "http://[::1]"},
		{name: "IPv6 and a port", hosts: local, host: "[::1]:8080", origin: "http://[::1]:8080"},
		{name: "other IPv6", hosts: local, host: "[::2]:8080", want: 421},
		{name: "scheme", hosts: secure, host: "example.com", origin: "https://example.com"},
		{name: "other scheme", hosts: secure, host: "example.com", origin: "http://example.com", want: 403},
		{name: "other scheme and port", hosts: secure, host: "example.com:443", origin: "http://example.com:443",
			want: 403},
		{name: "both schemes", hosts: []string{"https://a", "http://a"}, host: "a", origin: "http://a"},
		{name: "scheme of another", hosts: []string{"https://a", "b"}, host: "b", origin: "http://b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			head := "GET / HTTP/1.1\r\nHost: " + test.host + "\r\n"
			if test.origin != "" {
				head += "Origin: " + test.origin + "\r\n"
			}
			var r handshake.Request
			if _, err := handshake.ParseRequest([]byte(head+"\r\n"), nil, &r, nil); err != nil {
				t.Fatal(err)
			}
			err := r.CheckHost(test.hosts)
			if err == nil {
				err = r.CheckOrigin(nil)
			}
			got := 0
			if e, ok := err.(*handshake.Error); ok {
				got = e.Status
			}
			if got != test.want {
				t.Errorf("status %d, want %d: %v", got, test.want, err)
			}
		})
	}
}
