package tlslayer

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestListenNeedsCertificate: a server without any certificate listened, and refused everybody.
func TestListenNeedsCertificate(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	for _, test := range []struct {
		name   string
		config *tls.Config
		client bool
		want   string // "": no error
	}{
		{name: "none", config: &tls.Config{}, want: "neither Certificates"},
		{name: "Certificates", config: testConfig()},
		{name: "GetCertificate", config: &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}},
		{name: "GetConfigForClient", config: &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}},
		{name: "client", config: testConfig(), client: true, want: "Layer.Server"},
	} {
		l := must(New(Config{TLS: test.config}))
		lc := engine.ListenConfig{Layer: l.Server()}
		if test.client {
			lc.Layer = l.Client("")
		}
		_, err := lc.Listen(e, "tcp", "127.0.0.1:0", func(*engine.Conn) engine.Protocol { return nil })
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestServerNameOfConfigWins: Client ignored the name that the configuration has, unlike net/http.
func TestServerNameOfConfigWins(t *testing.T) {
	for _, test := range []struct{ config, host, want string }{
		{"", "a", "a"}, {"b", "a", "b"}, {"b", "", "b"},
	} {
		l := must(New(Config{TLS: &tls.Config{ServerName: test.config}}))
		if got := l.Client(test.host).(*client).config.ServerName; got != test.want {
			t.Errorf("%q for the host %q: %q, want %q", test.config, test.host, got, test.want)
		}
	}
}
