package tlslayer

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// These tests are on real sockets. drive does with a handshake what the engine does with it, but in
// a goroutine that blocks.
func drive(nc net.Conn, begin func(notify func()) *handshake) (layer.Stream, tls.ConnectionState, []byte, error) {
	notified := make(chan struct{}, 1)
	h := begin(func() {
		select {
		case notified <- struct{}{}:
		default:
		}
	})
	fed := make(chan error, 1)
	buf := make([]byte, maxFed)
	var unread []byte
	read := func() {
		n, err := nc.Read(buf)
		unread = append(unread, buf[:n]...)
		fed <- err
	}
	reading := true
	go read()
	for {
		done, err := h.Done()
		if _, werr := nc.Write(h.Output(nil)); werr != nil && err == nil {
			err = werr
			h.Cancel(werr)
		}
		if done {
			if err != nil {
				return nil, tls.ConnectionState{}, nil, err
			}
			if reading {
				nc.SetReadDeadline(time.Unix(1, 0))
				<-fed
				nc.SetReadDeadline(time.Time{})
			}
			s, info, rest := h.take(newLoop(2, 2))
			return s, info, append(rest, unread...), nil
		}
		select {
		case err := <-fed:
			reading = false
			n, _ := h.Feed(unread) // an error is that of Done
			unread = unread[n:]
			if err != nil {
				h.ReadClosed()
			} else {
				reading = true
				go read()
			}
		case <-notified:
		}
	}
}

// doUpdate has echo update its key, and ask for an update of the peer's.
const doUpdate = "do: update"

// echo sends back what comes, until the end, and returns what came.
func echo(nc net.Conn, s layer.Stream, early []byte) ([]byte, error) {
	r := receiver{stream: s}
	buf := make([]byte, 64<<10)
	for next := early; ; {
		before := len(r.got)
		r.feed(next)
		out := s.Seal(nil, r.got[before:])
		if p, ok := s.(*records); ok && bytes.Equal(r.got[before:], []byte(doUpdate+"\n")) {
			out = p.updateKey(out, 1)
		}
		if r.err != nil {
			out = s.SealEnd(out)
		}
		if _, err := nc.Write(out); err != nil && r.err == nil {
			return r.got, err
		}
		if r.err != nil {
			return r.got, r.err
		}
		n, err := nc.Read(buf)
		next = buf[:n]
		if err != nil {
			return r.got, errors.Join(err, s.ReadClosed(len(r.buf)-r.plain))
		}
	}
}

// serveEcho serves one connection after the other, and reports how each has ended.
func serveEcho(t *testing.T, l *Layer) (addr string, ended chan string) {
	t.Helper()
	return serveBy(t, l, echo)
}

// serveBy is serveEcho that calls echo for each connection.
func serveBy(t *testing.T, l *Layer,
	echo func(net.Conn, layer.Stream, []byte) ([]byte, error)) (addr string, ended chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ended = make(chan string, 16)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s, info, early, err := drive(nc, func(notify func()) *handshake {
				return l.server(nc.LocalAddr(), nc.RemoteAddr(), notify)
			})
			if err != nil {
				ended <- fmt.Sprintf("handshake: %v", err)
				nc.Close()
				continue
			}
			got, err := echo(nc, s, early)
			ended <- fmt.Sprintf("level %d, %s, resumed %t, %d bytes: %v", level(s), tls.VersionName(info.Version),
				info.DidResume, len(got), err)
			nc.Close()
		}
	}()
	return ln.Addr().String(), ended
}

// TestCryptoTLSClient has a tls.Conn echo messages over sockets, with each suite.
func TestCryptoTLSClient(t *testing.T) {
	for _, suite := range testSuites {
		c := suiteConfig(suite.id)
		addr, ended := serveEcho(t, newLayer(Config{TLS: c}))
		nc, err := tls.Dial("tcp", addr, c)
		if err != nil {
			t.Fatal(err)
		}
		message := pattern(1 << 20)
		go func() {
			nc.Write(message) // an error shows below
			nc.CloseWrite()
		}()
		got, err := io.ReadAll(nc)
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: %d bytes, error %v", suite.name, len(got), err)
		}
		nc.Close()
		if how := <-ended; !strings.HasPrefix(how, "level 2") || !strings.HasSuffix(how, "1048576 bytes: EOF") {
			t.Errorf("%s: the server says %q", suite.name, how)
		}
	}
}

// openssl returns a command, if the program is installed.
func openssl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("MYRIAD_INTEROP") == "all" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed; .ci/run installs it")
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// files writes the certificate and key of c to files for OpenSSL.
func files(t *testing.T, c *tls.Config) (cert, key string) {
	t.Helper()
	der := must(x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey))
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: c.Certificates[0].Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// rsaConfig returns a configuration with an RSA certificate.
func rsaConfig(t *testing.T) *tls.Config {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	template := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TestOpenSSLClient has `openssl s_client` send lines, and keys that update, and read the echo.
func TestOpenSSLClient(t *testing.T) {
	for _, c := range []struct {
		name      string
		rsa       bool
		args      []string
		certified bool     // has a certificate that the server wants
		lines     []string // "K" and "k" ask for key updates, "R" for a renegotiation, "Q" ends
		want      string
	}{
		{name: "TLS 1.3", lines: []string{"one", "K", "two", "k", "three", "K", "four"}, want: "level 2, TLS 1.3"},
		{name: "TLS 1.3 AES-256", args: []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"},
			lines: []string{"one", "K", "two"}, want: "level 2, TLS 1.3"},
		{name: "TLS 1.3 ChaCha20", args: []string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
			lines: []string{"one", "K", "two"}, want: "level 2, TLS 1.3"},
		{name: "TLS 1.3 P-384", args: []string{"-groups", "P-384"}, lines: []string{"one"}, want: "level 2, TLS 1.3"},
		{name: "RSA", rsa: true, lines: []string{"one"}, want: "level 2, TLS 1.3"},
		{name: "TLS 1.2", args: []string{"-tls1_2"}, lines: []string{"one", "two"}, want: "level 2, TLS 1.2"},
		{name: "TLS 1.2 ChaCha20", args: []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"},
			lines: []string{"one"}, want: "level 2, TLS 1.2"},
		{name: "TLS 1.2 RSA AES-256", rsa: true, args: []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"},
			lines: []string{"one"}, want: "level 2, TLS 1.2"},
		{name: "TLS 1.2 CBC", args: []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"},
			lines: []string{"one"}, want: "level 1, TLS 1.2"},
		{name: "X25519", args: []string{"-groups", "X25519"}, lines: []string{"one"}, want: "level 2, TLS 1.3"},
		{name: "our update", lines: []string{"one", doUpdate, "two", doUpdate, "three"}, want: "level 2, TLS 1.3"},
		{name: "client certificate", certified: true, lines: []string{"one", "K", "two"}, want: "level 2, TLS 1.3"},
		{name: "TLS 1.2 client certificate", certified: true, args: []string{"-tls1_2"}, lines: []string{"one"},
			want: "level 2, TLS 1.2"},
		{name: "renegotiation", args: []string{"-tls1_2"}, lines: []string{"one", "R"}, want: "unexpected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := testConfig().Clone()
			if c.rsa {
				config = rsaConfig(t)
			}
			if c.certified {
				config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, config.RootCAs
				cert, key := files(t, config)
				c.args = append(c.args, "-cert", cert, "-key", key)
			}
			addr, ended := serveEcho(t, newLayer(Config{TLS: config}))
			cmd := openssl(t, append([]string{"s_client", "-connect", addr}, c.args...)...)
			in, out := must(cmd.StdinPipe()), bufio.NewReader(must(cmd.StdoutPipe()))
			cmd.Stderr = cmd.Stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for _, line := range c.lines {
				fmt.Fprintln(in, line)
				switch line { // what it says when it has read a command
				case "K", "k":
					line = "KEYUPDATE"
				case "R":
					line = "RENEGOTIATING"
				}
				for got := ""; got != line+"\n"; {
					var err error
					if got, err = out.ReadString('\n'); err != nil {
						t.Fatalf("waiting for %q: %v", line, err)
					}
				}
			}
			in.Close()
			go io.Copy(io.Discard, out)
			how := <-ended
			cmd.Process.Kill() // it may wait for us
			cmd.Wait()
			if !strings.Contains(how, c.want) || c.want != "unexpected" && !strings.HasSuffix(how, "EOF") {
				t.Errorf("the server says %q, want %q", how, c.want)
			}
		})
	}
}

// TestOpenSSLServer connects to `openssl s_server -rev`, which sends each line back reversed, and
// updates its keys.
func TestOpenSSLServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		level [2]int // of the first connection, and of the second, which is resumed
	}{
		{"TLS 1.3", []string{"-tls1_3"}, [2]int{2, 2}},
		{"TLS 1.3 ChaCha20", []string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, [2]int{2, 2}},
		{"TLS 1.3 AES-256", []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"}, [2]int{2, 2}},
		{"TLS 1.2", []string{"-tls1_2"}, [2]int{2, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := testConfig().Clone()
			config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			cert, key := files(t, config)
			cmd := openssl(t, append([]string{"s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key,
				"-rev"}, c.args...)...)
			out := bufio.NewReader(must(cmd.StdoutPipe()))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				cmd.Process.Kill()
				cmd.Wait()
			}()
			addr := ""
			for addr == "" { // "ACCEPT 127.0.0.1:41234"
				line, err := out.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				_, addr, _ = strings.Cut(strings.TrimSpace(line), "ACCEPT ")
			}
			go io.Copy(io.Discard, out)
			l := newLayer(Config{TLS: config})
			for i, want := range c.level {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				s, info, early, err := drive(nc, func(notify func()) *handshake {
					return l.client(config, nc.LocalAddr(), nc.RemoteAddr(), notify)
				})
				if err != nil {
					t.Fatal(err)
				}
				if level(s) != want || info.DidResume != (i > 0) {
					t.Errorf("connection %d: level %d, resumed %t", i, level(s), info.DidResume)
				}
				r := receiver{stream: s}
				r.feed(early)
				buf := make([]byte, 4096)
				for j, word := range []string{"hello", "world", "again"} {
					var b []byte
					// Only one: s_server sleeps for a second then.
					if p, ok := s.(*records); ok && info.Version == tls.VersionTLS13 && i == 0 && j == 1 {
						b = p.updateKey(nil, 1)
					}
					if _, err := nc.Write(s.Seal(b, []byte(word+"\n"))); err != nil {
						t.Fatal(err)
					}
					for r.got = nil; !bytes.HasSuffix(r.got, []byte("\n")); {
						n, err := nc.Read(buf)
						if err == nil {
							r.feed(buf[:n])
							err = r.err
						}
						if err != nil {
							t.Fatalf("waiting for %q: %v", word, err)
						}
					}
					back := []byte(strings.TrimSpace(string(r.got)))
					if slices.Reverse(back); string(back) != word {
						t.Errorf("%q came back as %q", word, back)
					}
				}
				nc.Close()
			}
		})
	}
}

// TestOpenSSLResumes has `openssl s_client` connect six times, and resume its session.
func TestOpenSSLResumes(t *testing.T) {
	for _, c := range []struct {
		name, want string // of the connections that are resumed
		args       []string
	}{
		{"TLS 1.3", "level 2, TLS 1.3, resumed true", nil},
		{"TLS 1.2", "level 1, TLS 1.2, resumed true", []string{"-tls1_2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, ended := serveEcho(t, newLayer(Config{TLS: testConfig()}))
			file := filepath.Join(t.TempDir(), "session")
			for _, how := range []string{"-sess_out", "-sess_in"} {
				cmd := openssl(t, append([]string{"s_client", "-connect", addr, "-ign_eof", how, file}, c.args...)...)
				in, out := must(cmd.StdinPipe()), bufio.NewReader(must(cmd.StdoutPipe()))
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintln(in, "hello")
				for line := ""; line != "hello\n"; { // then it has the ticket
					var err error
					if line, err = out.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				cmd.Process.Kill()
				cmd.Wait()
				if got := <-ended; how == "-sess_in" && !strings.HasPrefix(got, c.want) {
					t.Errorf("the server says %q, want %q", got, c.want)
				}
			}
		})
	}
}

// TestOpenSSLIsRefused has `openssl s_client` offer what the server does not want. It gets the
// right alert.
func TestOpenSSLIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		change func(*tls.Config)
		want   string
	}{
		{"ALPN", []string{"-alpn", "a,b"}, func(c *tls.Config) { c.NextProtos = []string{"c"} },
			"alert no application protocol"},
		{"ALPN TLS 1.2", []string{"-alpn", "a,b", "-tls1_2"}, func(c *tls.Config) { c.NextProtos = []string{"c"} },
			"alert no application protocol"},
		{"version", []string{"-tls1_2"}, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
			"alert protocol version"},
		{"group", []string{"-groups", "X448"}, nil, "alert handshake failure"},
		{"certificate", nil, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
			"alert certificate required"},
		{"certificate TLS 1.2", []string{"-tls1_2"}, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
			"alert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, ended := serveEcho(t, newLayer(Config{TLS: changed(c.change)}))
			cmd := openssl(t, append([]string{"s_client", "-connect", addr, "-ign_eof"}, c.args...)...)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if how := <-ended; !strings.HasPrefix(how, "handshake:") {
				t.Errorf("the server says %q", how)
			}
		})
	}
}
