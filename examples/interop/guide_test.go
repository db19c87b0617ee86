package interop

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/myriadnet/myriad/codec/websocket"
)

// inGuide returns the first block of code of a language in the guide.
func inGuide(t *testing.T, language string) string {
	t.Helper()
	return blockOf(t, "websocket.md", "", language)
}

// blockOf returns the first block of code of a language in a guide, behind a heading.
func blockOf(t *testing.T, guide, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + guide)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, headed := strings.Cut(string(text), heading)
	_, rest, found := strings.Cut(rest, "```"+language+"\n")
	block, _, closed := strings.Cut(rest, "```\n")
	if !headed || !found || !closed {
		t.Fatalf("%s has no block of %s behind %q", guide, language, heading)
	}
	return block
}

// certificate returns a client that trusts a certificate, whose key is in the same file.
func certificate(t *testing.T) (own *http.Client, file string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "certificate")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return server.Client(), file
}

// dialTLS connects through a proxy that ends TLS, as a page of its host does.
func dialTLS(t *testing.T, own *http.Client, front string) client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, _, err := coder.Dial(ctx, "wss://"+front+"/", &coder.DialOptions{HTTPClient: own,
		HTTPHeader: http.Header{"Origin": {"https://" + front}, "X-Forwarded-For": {"192.0.2.1"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return coderClient{c, ctx}
}

// haproxyFrom starts HAProxy with the configuration of a guide, in which some strings are replaced.
func haproxyFrom(t *testing.T, config string, replace ...string) (front string) {
	t.Helper()
	path := program(t, "haproxy")
	front, listener := inherited(t)
	defer listener.Close()
	config = strings.NewReplacer(append(replace, "bind :443", "bind fd@3")...).Replace(config)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{listener}
	child(t, cmd)
	return front
}

// TestGuide: the configurations of the guide serve pages of the own host and WebSockets, refuse
// pages of others, and replace what clients say of their address.
func TestGuide(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *site, string) string{
		"nginx": func(t *testing.T, s *site, file string) string {
			config := strings.NewReplacer("listen 443 ssl", "listen FRONT ssl", "127.0.0.1:8080", "BACK",
				"/etc/ssl/example.pem", file).Replace(inGuide(t, "nginx"))
			front, _ := nginx(t, s, "http { "+config+" }")
			return front
		},
		"HAProxy": func(t *testing.T, s *site, file string) string {
			return haproxyFrom(t, "global\n\tmaxconn 200\n\tnbthread 1\n"+inGuide(t, "haproxy"),
				"127.0.0.1:8080", s.address, "/etc/ssl/example.pem", file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			said := make(chan string, 10)
			s.stop()
			s.server = &websocket.Server{Message: answer, Close: s.ended, Handler: http.HandlerFunc(s.handle),
				Pong:      func(c *websocket.Conn, _ []byte) { c.SendText(ponged) },
				Limits:    websocket.Limits{MaxMessage: 16 << 20},
				Handshake: func(h *websocket.Handshake) { said <- h.Request().Header.Get("X-Forwarded-For") },
				Refused:   func(r websocket.Refusal) { said <- r.Reason.Error() }}
			s.start("tcp", s.address)
			own, file := certificate(t)
			front := start(t, s, file)

			talk(t, dialTLS(t, own, front))
			if got := <-said; got != "127.0.0.1" {
				t.Errorf("the client is at %q", got)
			}
			peerOf(t, own, "https://"+front+"/")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, resp, err := coder.Dial(ctx, "wss://"+front+"/", &coder.DialOptions{HTTPClient: own,
				HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
			if err == nil || resp == nil || resp.StatusCode != 403 {
				t.Fatalf("a page of others: %v", err)
			}
			if got := <-said; !strings.Contains(got, `"https://evil.example" at host "`+front+`"`) {
				t.Error(got)
			}
		})
	}
}
