package interop

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// The tests in this file have two clients behind one proxy, who must be two for us.

var localProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// perAddress is how many connections a client may have in these tests.
const perAddress = 2

// addressed is a site that says whom it sees. It takes perAddress connections of each client.
func addressed(t *testing.T, network string, lc engine.ListenConfig, s *websocket.Server) *site {
	t.Helper()
	s.Open = func(c *websocket.Conn) { c.SendText(c.RemoteAddr().Addr().String()) }
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, websocket.ClientAddr(r, s.Proxies).Addr().String())
	})
	s.Refused = func(websocket.Refusal) {}
	e, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "socket")
	}
	ln, err := lc.Listen(e, network, address, s.Accept)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &site{t: t, address: ln.String()}
}

// from connects from a local address.
func from(ip string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: patience}
}

// checkTwo has two clients behind a front. header is what they claim.
func checkTwo(t *testing.T, url string, config *tls.Config, header http.Header) {
	t.Helper()
	dial := func(ip string) (seen string, err error) {
		d := gorilla.Dialer{NetDialContext: from(ip).DialContext, TLSClientConfig: config, HandshakeTimeout: patience}
		c, _, err := d.Dial(url, header)
		if err != nil {
			return "", err
		}
		t.Cleanup(func() { c.Close() })
		c.SetReadDeadline(time.Now().Add(patience))
		_, b, err := c.ReadMessage()
		return string(b), err
	}
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		for range perAddress {
			if seen, err := dial(ip); err != nil || seen != ip {
				t.Fatalf("client %s is %q, %v", ip, seen, err)
			}
		}
	}
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		if seen, err := dial(ip); err == nil {
			t.Errorf("client %s has one more connection, as %q", ip, seen)
		}
	}
	// A page comes by net/http.
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: from("127.0.0.4").DialContext, TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequest("GET", strings.Replace(url, "ws", "http", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "127.0.0.4" {
		t.Errorf("the Handler sees %q, %v", b, err)
	}
}

// TestProxyProtocol: HAProxy and nginx tell the client before everything else.
func TestProxyProtocol(t *testing.T) {
	behind := func(options string) func(*testing.T, *site) string {
		return func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode tcp\nserver a SITE "+options)
			return front
		}
	}
	own, file := certificate(t)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	trusted := own.Transport.(*http.Transport).TLSClientConfig
	for _, test := range []struct {
		name  string
		start func(*testing.T, *site) string
		tls   bool
		unix  bool
	}{
		{name: "HAProxy version 1", start: behind("send-proxy")},
		{name: "HAProxy version 2", start: behind("send-proxy-v2")},
		{name: "HAProxy version 2 with TLVs",
			start: behind("send-proxy-v2 proxy-v2-options crc32c,unique-id\nunique-id-format %{+X}o%ci:%cp")},
		{name: "HAProxy version 1 TLS", tls: true, start: behind("send-proxy")},
		{name: "HAProxy version 2 TLS", tls: true, start: behind("send-proxy-v2")},
		{name: "HAProxy unix socket", unix: true, start: behind("send-proxy-v2")},
		{name: "nginx", start: func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, "stream { server { listen FRONT; proxy_pass BACK; proxy_protocol on; } }")
			return front
		}},
		{name: "nginx TLS", tls: true, start: func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, "stream { server { listen FRONT; proxy_pass BACK; proxy_protocol on; } }")
			return front
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lc := engine.ListenConfig{MaxPerAddress: perAddress, Proxy: &engine.ProxyConfig{Trusted: localProxies}}
			scheme, network := "ws", "tcp"
			if test.tls {
				scheme = "wss"
				l, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
				if err != nil {
					t.Fatal(err)
				}
				lc.Layer = l.Server()
			}
			if test.unix {
				network, lc.Proxy = "unix", &engine.ProxyConfig{TrustUnix: true}
			}
			s := addressed(t, network, lc, new(websocket.Server))
			checkTwo(t, scheme+"://"+test.start(t, s)+"/", trusted, http.Header{"X-Forwarded-For": {"192.0.2.1"}})
		})
	}
}

// TestForwardedFields: nginx and HAProxy tell the client in a header field, whatever the client has
// written there. A connection to us is kept for the next client.
func TestForwardedFields(t *testing.T) {
	appends := strings.Replace(upgradeHeaders, "proxy_set_header Host",
		"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host", 1)
	for _, test := range []struct {
		name, field string
		unix        bool
		start       func(*testing.T, *site) string
	}{
		{name: "nginx", start: func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `http { `+upgradeMap+` upstream site { server BACK; keepalive 4; }
				server { listen FRONT; location / { proxy_pass http://site; `+appends+` } } }`)
			return front
		}},
		{name: "nginx unix socket", unix: true, start: func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `http { `+upgradeMap+` server { listen FRONT;
				location / { proxy_pass http://unix:`+s.address+`:/; `+appends+` } } }`)
			return front
		}},
		{name: "HAProxy", start: func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode http\noption forwardfor\nserver a SITE")
			return front
		}},
		{name: "HAProxy Forwarded", field: "Forwarded", start: func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, `mode http
				http-request add-header Forwarded for=%[src]
				server a SITE`)
			return front
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			network := "tcp"
			proxies := &websocket.Proxies{Trusted: localProxies, Field: test.field}
			if test.unix {
				network, proxies.TrustUnix = "unix", true
			}
			s := addressed(t, network, engine.ListenConfig{},
				&websocket.Server{MaxPerAddress: perAddress, Proxies: proxies})
			checkTwo(t, "ws://"+test.start(t, s)+"/", nil,
				http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {`for="192.0.2.1`}})
		})
	}
}
