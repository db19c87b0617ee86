package interop

import (
	"bytes"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/myriadnet/myriad/codec/websocket"
)

var takeover = &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}

// TestTLSLibraries: clients of each library for Go, over TLS of each kind, with servers that
// compress and that do not.
func TestTLSLibraries(t *testing.T) {
	for _, ts := range tlsServers {
		for name, compression := range map[string]*websocket.Compression{"plain": nil, "deflate": takeover} {
			t.Run(ts.name+" "+name, func(t *testing.T) {
				s := newTLSSite(t, compression, ts, nil)
				url := "wss://" + s.address + "/"
				checkPages(t, "https://"+s.address)
				e := loops(t)
				clients := libraryClients()
				clients["gobwas"], clients["wsconn"] = dialGobwas(true), dialWsconn(takeover)
				clients["loop"] = dialLoop(e, takeover)
				for name, dial := range clients {
					t.Run(name, func(t *testing.T) { talk(t, dial(t, url)) })
				}
				s.checkStates(t, ts.version, false)
			})
		}
	}
}

// TestTLSNodeClients: clients of ws and undici over TLS.
func TestTLSNodeClients(t *testing.T) {
	ws, undici := startRemote(t, node(t, "ws-client.js")), startRemote(t, node(t, "undici-client.js"))
	for _, ts := range tlsServers {
		t.Run(ts.name, func(t *testing.T) {
			s := newTLSSite(t, takeover, ts, nil)
			url := "wss://" + s.address + "/"
			checkRemoteClient(t, ws.dial(map[string]any{"perMessageDeflate": false}, false), url, []int{1000})
			deflate := map[string]any{"perMessageDeflate": map[string]any{"threshold": 0}}
			checkRemoteClient(t, ws.dial(deflate, true), url, []int{4999})
			checkRemoteClient(t, undici.dial(nil, true), url, []int{1000})
			s.checkStates(t, ts.version, false)
		})
	}
}

// TestTLSPythonClients: clients of python3-websockets over TLS.
func TestTLSPythonClients(t *testing.T) {
	python := startRemote(t, websockets(t, "client.py"))
	for _, ts := range tlsServers {
		t.Run(ts.name, func(t *testing.T) {
			s := newTLSSite(t, takeover, ts, nil)
			url := "wss://" + s.address + "/"
			checkRemoteClient(t, python.dial(map[string]any{"compression": nil}, false), url, []int{1000})
			checkRemoteClient(t, python.dial(map[string]any{"compression": "deflate"}, true), url, []int{4999})
			s.checkStates(t, ts.version, false)
		})
	}
}

// TestTLSBrowser: Chromium loads a page over https, and its WebSocket goes to where the page comes
// from. A page of elsewhere is refused.
func TestTLSBrowser(t *testing.T) {
	b := browser(t, chromedp.Flag("ignore-certificate-errors", true))
	for _, ts := range fewTLSServers {
		for extension, compression := range map[string]*websocket.Compression{"": nil, "permessage-deflate": takeover} {
			t.Run(strings.TrimSpace(ts.name+" "+extension), func(t *testing.T) {
				s, tab := newTLSSite(t, compression, ts, nil), tab(t, b)
				do(t, tab, "open the page", chromedp.Navigate("https://"+s.address+"/"))
				talkInBrowser(t, tab, "wss://"+s.address+"/", "extensions "+extension+", closed 4000 true")
				closesInBrowser(t, tab, "wss", s.address)
				states := s.noted()
				hybrid := slices.ContainsFunc(states, func(c tls.ConnectionState) bool {
					return c.CurveID == tls.X25519MLKEM768
				})
				if hybrid != (ts.version == tls.VersionTLS13) {
					t.Errorf("hybrid key exchange: %t", hybrid)
				}
				if states[0].Version != ts.version {
					t.Errorf("%s", tls.VersionName(states[0].Version))
				}
				other := strings.Replace(s.address, "127.0.0.1", "localhost", 1)
				do(t, tab, "open the page of another origin", chromedp.Navigate("https://"+other+"/"))
				inBrowser(t, tab, `const s = new WebSocket("wss://`+s.address+`/");
					return await new Promise(r => { s.onopen = () => r("open"); s.onerror = () => r("refused"); })`,
					"refused")
			})
		}
	}
}

// TestTLSCurl asks for pages, with keys, suites and certificates of all kinds.
func TestTLSCurl(t *testing.T) {
	curl := program(t, "curl")
	file := filepath.Join(t.TempDir(), "body")
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	own := func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509Pool(t)
	}
	ecdsa, rsa := tlsServer{identity: "ecdsa"}, tlsServer{identity: "rsa"}
	page := func(name string, ts tlsServer, version uint16, args ...string) curlTest {
		return curlTest{name: name, server: ts, version: version, args: append(args, "URL"), want: helloText}
	}
	upload := page("upload", ecdsa, tls.VersionTLS13, "--data-binary", "@"+file)
	upload.args[len(upload.args)-1], upload.want = "URLecho", string(body)
	// curl resumes nothing with TLS 1.2, not even with net/http.
	resumed := page("TLS 1.3 resumed", ecdsa, tls.VersionTLS13, "-H", "Connection: close", "URL", "URL")
	resumed.want, resumed.resumed = strings.Repeat(helloText, 3), true
	kept := page("one connection", ecdsa, tls.VersionTLS13, "URL", "URL", "-w", "%{num_connects} ")
	kept.want = helloText + "1 " + helloText + "0 " + helloText + "0 "
	certified := page("client certificate", ecdsa, tls.VersionTLS13, "--cert", identityFile("client"))
	certified12 := page("TLS 1.2 client certificate", rsa, tls.VersionTLS12, "--tls-max", "1.2", "--cert",
		identityFile("client"))
	bare := page("no client certificate", ecdsa, 0)
	certified.change, certified12.change, bare.change, bare.want = own, own, own, ""
	alpn := page("ALPN", ecdsa, tls.VersionTLS13)
	alpn.change = func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }
	mismatch := page("ALPN mismatch", ecdsa, 0)
	mismatch.change, mismatch.want = func(c *tls.Config) { c.NextProtos = []string{"other"} }, ""
	old := page("version mismatch", tlsServers[0], 0, "--tls-max", "1.2")
	old.want = ""
	for _, c := range []curlTest{upload, resumed, kept, certified, certified12, bare, alpn, mismatch, old,
		page("RSA", rsa, tls.VersionTLS13), page("TLS 1.2", ecdsa, tls.VersionTLS12, "--tls-max", "1.2"),
		page("X25519", ecdsa, tls.VersionTLS13, "--curves", "X25519"),
		page("P-384, after a retry", ecdsa, tls.VersionTLS13, "--curves", "P-384"),
		page("ChaCha20", ecdsa, tls.VersionTLS13, "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"),
		page("TLS 1.2 RSA ChaCha20", rsa, tls.VersionTLS12, "--tls-max", "1.2", "--ciphers",
			"ECDHE-RSA-CHACHA20-POLY1305"),
		page("TLS 1.2 RSA AES-256", rsa, tls.VersionTLS12, "--tls-max", "1.2", "--ciphers",
			"ECDHE-RSA-AES256-GCM-SHA384"),
		page("TLS 1.2 CBC", rsa, tls.VersionTLS12, "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-SHA"),
		page("HTTP/1.0", ecdsa, tls.VersionTLS13, "--http1.0"),
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, curl) })
	}
}

// curlTest is a call of curl. In args, URL stands for that of the site.
type curlTest struct {
	name    string
	server  tlsServer
	change  func(*tls.Config)
	args    []string
	want    string // what it prints; "": the handshake fails
	version uint16 // of TLS
	resumed bool
}

func (c curlTest) run(t *testing.T, curl string) {
	s := newTLSSite(t, nil, c.server, c.change)
	args := []string{"-sS", "--noproxy", "*", "--max-time", "20", "--cacert", identityFile("authority")}
	for _, arg := range c.args {
		args = append(args, strings.Replace(arg, "URL", "https://"+s.address+"/", 1))
	}
	got, err := finish(t, exec.Command(curl, args...))
	if got != c.want || (err != nil) != (c.want == "") {
		t.Fatalf("%d bytes %.100q, %v; want %d bytes", len(got), got, err, len(c.want))
	}
	if c.want == "" {
		// 35 is a failed handshake, 56 an alert that came later
		if err, ok := err.(*exec.ExitError); !ok || err.ExitCode() != 35 && err.ExitCode() != 56 {
			t.Errorf("curl: %v", err)
		}
		if n := len(s.noted()); n != 0 {
			t.Errorf("%d connections were accepted", n)
		}
		return
	}
	s.checkStates(t, c.version, c.resumed)
}

// TestTLSCurlHandshake: a handshake for a WebSocket by hand, over TLS.
func TestTLSCurlHandshake(t *testing.T) {
	curl := program(t, "curl")
	for _, ts := range tlsServers {
		t.Run(ts.name, func(t *testing.T) {
			s := newTLSSite(t, nil, ts, nil)
			s.server = welcoming()
			got, err := finish(t, exec.Command(curl, "-sSi", "-N", "--noproxy", "*", "--max-time", "10", "--http1.1",
				"--cacert", identityFile("authority"),
				"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H",
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "https://"+s.address))
			if err != nil || !strings.HasPrefix(got, "HTTP/1.1 101 Switching Protocols\r\n") ||
				!strings.HasSuffix(got, "\r\n\r\n\x81\x07welcome\x88\x05\x03\xe8bye") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
