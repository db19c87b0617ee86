package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestCurl asks for pages as people do on a command line.
func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	s := newSite(t, nil)
	base := "http://" + s.address
	file := filepath.Join(t.TempDir(), "body")
	body := strings.Repeat("0123456789abcdef", 1<<17) // large enough for curl to ask with Expect
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		args  []string
		in    string
		want  string // what it prints
		fails bool
	}{
		{name: "page", args: []string{base}, want: helloText},
		{name: "HTTP/1.0", args: []string{"--http1.0", base}, want: helloText},
		{name: "HTTP/1.0 until the end", args: []string{"--http1.0", "-o", os.DevNull, "-w", "%{size_download}",
			base + "/flow"}, want: "390"},
		{name: "HTTP/2 by an upgrade", args: []string{"--http2", "-w", "%{http_version}", base},
			want: helloText + "1.1"},
		{name: "HTTP/2 by prior knowledge", args: []string{"--http2-prior-knowledge", base}, fails: true},
		{name: "head", args: []string{"-I", "-o", os.DevNull, "-w", "%{http_code}", base + "/big"}, want: "200"},
		{name: "options", args: []string{"-X", "OPTIONS", "-w", "%{http_code}", base}, want: helloText + "200"},
		{name: "form", args: []string{"-d", "a=b", base + "/echo"}, want: "a=b"},
		{name: "Expect: 100-continue", args: []string{"--data-binary", "@" + file, base + "/echo"}, want: body},
		{name: "chunks", args: []string{"-X", "POST", "-T", "-", base + "/echo"}, in: body, want: body},
		{name: "range", args: []string{"-r", "0-3", base}, want: helloText}, // it may be ignored
		{name: "status", args: []string{"-f", base + "/none"}, fails: true},
		{name: "one connection", args: []string{base, base + "/", base + "/health", "-w", "%{num_connects} "},
			want: helloText + "1 " + helloText + "0 0 "},
		{name: "in parallel", args: []string{"-Z", base, base, base}, want: strings.Repeat(helloText, 3)},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.Command(curl, append([]string{"-sS", "--noproxy", "*", "--max-time", "10"}, test.args...)...)
			cmd.Stdin = strings.NewReader(test.in)
			got, err := finish(t, cmd)
			if (err != nil) != test.fails || got != test.want {
				t.Errorf("%d bytes %.100q, %v; want %d bytes %.100q", len(got), got, err, len(test.want), test.want)
			}
			if err, ok := err.(*exec.ExitError); ok && err.ExitCode() == 28 {
				t.Error("it has waited in vain")
			}
		})
	}
}

// TestCurlHandshake: a handshake by hand, as monitors do it, and what those get that are refused.
func TestCurlHandshake(t *testing.T) {
	curl := program(t, "curl")
	s := newSite(t, nil)
	s.server = welcoming()
	for _, test := range []struct {
		name, version, origin string
		want, ends            string
	}{
		{name: "accepted", version: "13", want: "HTTP/1.1 101 Switching Protocols\r\n",
			ends: "\r\n\r\n\x81\x07welcome\x88\x05\x03\xe8bye"},
		{name: "old version", version: "8", want: "HTTP/1.1 426 Upgrade Required\r\n"},
		{name: "page of others", version: "13", origin: "https://evil.example", want: "HTTP/1.1 403 Forbidden\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := finish(t, exec.Command(curl, "-sSi", "-N", "--noproxy", "*", "--max-time", "10",
				"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: "+test.version,
				"-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "-H", "Origin: "+test.origin, "http://"+s.address))
			if err != nil || !strings.HasPrefix(got, test.want) {
				t.Errorf("%q, %v", got, err)
			}
			if !strings.HasSuffix(got, test.ends) {
				t.Errorf("%q", got)
			}
		})
	}
}

// welcoming is a server for curl, which answers no Close frame.
func welcoming() *websocket.Server {
	return &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.SendText("welcome")
			c.Close(1000, "bye")
		},
		Refused: func(websocket.Refusal) {},
		Limits:  websocket.Limits{CloseTimeout: 50 * time.Millisecond},
	}
}

// TestApacheBench: ab speaks HTTP/1.0, with keep-alive and without.
func TestApacheBench(t *testing.T) {
	ab := program(t, "ab")
	s := newSite(t, nil)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	const requests, concurrency = 1000, 20
	for _, test := range []struct {
		name, path  string
		args        []string
		connections int // at most
		size        int // of each document
	}{
		{name: "page", path: "/", connections: requests, size: len(helloText)},
		{name: "keep-alive", args: []string{"-k"}, path: "/", connections: concurrency, size: len(helloText)},
		{name: "head", args: []string{"-i"}, path: "/", connections: requests},
		{name: "large", args: []string{"-k"}, path: "/big", connections: concurrency, size: bigSize},
		{name: "post", args: []string{"-k", "-p", file, "-T", "text/plain"}, path: "/echo", connections: concurrency,
			size: 10_000},
		{name: "until the end", path: "/flow", connections: requests, size: 390},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, answered := s.accepted.Load(), s.requests.Load()
			args := append(test.args, "-q", "-n", strconv.Itoa(requests), "-c", strconv.Itoa(concurrency), "-s", "10",
				"http://"+s.address+test.path)
			report, err := finish(t, exec.Command(ab, args...))
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]int{"Complete requests": requests, "Failed requests": 0,
				"Document Length": test.size, "Non-2xx responses": -1} {
				if got := reported(report, name); got != want {
					t.Errorf("%s: %d, want %d", name, got, want)
				}
			}
			// ab opens further connections that it gives no request to in the end
			if n := s.accepted.Load() - before; n > int64(test.connections+concurrency) {
				t.Errorf("%d connections, want %d", n, test.connections)
			}
			if n := s.requests.Load() - answered; n < requests {
				t.Errorf("the Handler got %d requests", n)
			}
			if t.Failed() {
				t.Log(report)
			}
		})
	}
}

// reported is a figure of a report of ab, -1 if it is not there.
func reported(report, name string) int {
	m := regexp.MustCompile(`(?m)^` + name + `: +(\d+)`).FindStringSubmatch(report)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
