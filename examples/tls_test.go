package examples

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// certificate returns the flags of a program for a certificate, and the configuration of its
// clients.
func certificate(t *testing.T) (flags []string, client *tls.Config) {
	t.Helper()
	server := httptest.NewTLSServer(nil) // for its certificate
	server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return []string{"-cert", write("cert.pem", "CERTIFICATE", pair.Certificate[0]),
		"-key", write("key.pem", "PRIVATE KEY", key)}, &tls.Config{RootCAs: roots, ServerName: "example.com"}
}

// runTLS runs a program with a certificate.
func runTLS(t *testing.T, name string, args ...string) (*process, *tls.Config) {
	t.Helper()
	flags, client := certificate(t)
	return run(t, name, append(flags, append([]string{"-addr", "127.0.0.1:0"}, args...)...)...), client
}

// dialWSS connects as a page of the server does. What has no subprotocols does not mind one.
func dialWSS(t *testing.T, p *process, path string, client *tls.Config) *wsconn.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := wsconn.Dial(ctx, "wss://"+p.address+path,
		&wsconn.Config{TLS: client, Header: http.Header{"Origin": {"https://" + p.address}},
			Subprotocols: []string{wire.SubprotocolJSON}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// say sends a text, and returns the next text that comes.
func say(t *testing.T, c *wsconn.Conn, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Write(ctx, wsconn.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, got, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestWSSEcho(t *testing.T) {
	p, client := runTLS(t, "wssecho")
	if got := say(t, dialWSS(t, p, "/", client), "hello"); got != "hello" {
		t.Errorf("%q", got)
	}
	p.stop(t, syscall.SIGTERM)
}

// TestPagesOverTLS: the programs that have a page have it at https, and its WebSocket at wss.
func TestPagesOverTLS(t *testing.T) {
	for _, c := range []struct {
		name      string
		args      []string
		page      string
		proto     int
		path      string
		say, want string
	}{
		{name: "chat", page: "<!doctype html>", proto: 2, path: "/ws?secret=0123456789abcdef&name=Ada",
			say: `{"type":"subscribe","topic":"lobby"}`, want: `"subscribed"`},
		{name: "dashboard", args: []string{"-demo", "3"}, page: "<!doctype html>", proto: 2, path: "/echo", say: "hi",
			want: "hi"},
		{name: "nethttp", page: "request 1;", proto: 1, path: "/echo/", say: "hi", want: "hi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, client := runTLS(t, c.name, c.args...)
			transport := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: true}
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + p.address + "/")
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			transport.CloseIdleConnections()
			if err != nil || resp.ProtoMajor != c.proto || !strings.HasPrefix(strings.ToLower(string(b)), c.page) {
				t.Errorf("%s, %.100q, %v", resp.Proto, b, err)
			}
			ws := dialWSS(t, p, c.path, client)
			if got := say(t, ws, c.say); !strings.Contains(got, c.want) {
				t.Errorf("%q", got)
			}
			ws.CloseNow()
			p.stop(t, syscall.SIGTERM)
		})
	}
}

func TestLinesOverTLS(t *testing.T) {
	p, client := runTLS(t, "lines")
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: client}
	c, err := d.DialContext(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "Ada\nhello\n")
	until(t, bufio.NewReader(c), "Ada: hello")
	p.stop(t, syscall.SIGTERM)
}
