package examples

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const patience = 20 * time.Second

var folder string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if folder, err = os.MkdirTemp("", "myriad"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		build := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./tcpecho", "./lines",
			"./wsecho", "./wssecho", "./wsclient", "./chat",
			"./dashboard", "./nethttp", "./arena")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
			return 1
		}
		return m.Run()
	}())
}

// process is a running example.
type process struct {
	*exec.Cmd
	address string
	output  *bufio.Reader
}

func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(folder, name), args...)}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	p.output = bufio.NewReader(out)
	line, err := p.output.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, name+": listening on ") {
		t.Fatalf("%s printed %q, %v", name, line, err)
	}
	p.address, _, _ = strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, name+": listening on ")), ",")
	return p
}

// stop sends a signal and waits.
func (p *process) stop(t *testing.T, s os.Signal) {
	t.Helper()
	p.Process.Signal(s)
	p.wait(t)
}

// wait wants an exit with status 0 within 5 seconds, without another word. It is for a process that
// was sent a signal: a second one would kill it if it is just about to exit.
func (p *process) wait(t *testing.T) {
	t.Helper()
	begin := time.Now()
	rest, _ := io.ReadAll(p.output)
	if err := p.Wait(); err != nil {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v to exit", took)
	}
	if len(rest) > 0 {
		t.Errorf("it printed more than one line: %q", rest)
	}
}

func dialTCP(t testing.TB, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func dialWS(t testing.TB, address, path string) net.Conn {
	t.Helper()
	c, r, _, err := ws.Dial(context.Background(), "ws://"+address+path)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	if r != nil && r.Buffered() > 0 {
		return readConn{c, r}
	}
	return c
}

type readConn struct {
	net.Conn
	r io.Reader
}

func (c readConn) Read(b []byte) (int, error) { return c.r.Read(b) }

func TestTCPEcho(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0",
		"unix": "unix:" + filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			p := run(t, "tcpecho", "-addr", address, "-loops", "2")
			c := dialTCP(t, network, p.address)
			big := bytes.Repeat([]byte("0123456789"), 800_000)
			go func() {
				c.Write(big)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, big) {
				t.Fatalf("%d bytes came back of %d, %v", len(got), len(big), err)
			}
			p.stop(t, syscall.SIGTERM)
		})
	}
}

func TestLines(t *testing.T) {
	p := run(t, "lines", "-addr", "127.0.0.1:0")
	var readers []*bufio.Reader
	var conns []net.Conn
	for _, name := range []string{"Ada", "Bob"} {
		c := dialTCP(t, "tcp", p.address)
		fmt.Fprintf(c, "%s\r\n", name)
		conns, readers = append(conns, c), append(readers, bufio.NewReader(c))
		until(t, readers[0], name)
	}
	fmt.Fprint(conns[0], "hel")
	fmt.Fprint(conns[0], "lo\nsecond\n")
	for _, want := range []string{"hello", "second"} {
		if line := until(t, readers[1], want); !strings.Contains(line, "Ada") {
			t.Errorf("%q does not name the speaker", line)
		}
	}
	p.stop(t, syscall.SIGINT)
}

// until reads lines up to one that contains the text, and returns that.
func until(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no line with %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return line
		}
	}
}

func TestWSEcho(t *testing.T) {
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-max-message", "1000")
	c := dialWS(t, p.address, "/any/path")
	for op, msg := range map[ws.OpCode]string{ws.OpText: "grüße", ws.OpBinary: "\x00\xff"} {
		if err := wsutil.WriteClientMessage(c, op, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		if got, gotOp, err := wsutil.ReadServerData(c); err != nil || string(got) != msg || gotOp != op {
			t.Fatalf("%q as %x, %v", got, gotOp, err)
		}
	}
	big := dialWS(t, p.address, "/")
	wsutil.WriteClientBinary(big, make([]byte, 1001))
	wantClose(t, big, 1009)
	p.Process.Signal(syscall.SIGTERM)
	wantClose(t, c, 1001)
	p.wait(t)
}

func wantClose(t *testing.T, c net.Conn, code ws.StatusCode) {
	t.Helper()
	_, _, err := wsutil.ReadServerData(c)
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) || closed.Code != code {
		t.Errorf("%v, want close code %d", err, code)
	}
}

func TestChat(t *testing.T) {
	p := run(t, "chat", "-addr", "127.0.0.1:0")
	wantPages(t, p)
	hear := func(c net.Conn, texts ...string) {
		t.Helper()
		for {
			b, err := wsutil.ReadServerText(c)
			if err != nil {
				t.Fatalf("no message with %q: %v", texts, err)
			}
			if !slices.ContainsFunc(texts, func(text string) bool { return !bytes.Contains(b, []byte(text)) }) {
				return
			}
		}
	}
	enter := func(query string) net.Conn {
		t.Helper()
		c, _ := tryChat(t, p.address, query)
		wsutil.WriteClientText(c, []byte(`{"type":"subscribe","topic":"lobby","after":"0-0"}`))
		return c
	}
	say := func(c net.Conn, text string) {
		t.Helper()
		m, _ := json.Marshal(map[string]string{"key": "1", "text": text, "name": "Eve"})
		b, _ := json.Marshal(map[string]any{"type": "publish", "id": 1, "topic": "lobby", "text": string(m)})
		wsutil.WriteClientText(c, b)
	}
	const adasSecret, bobsSecret = "the secret of Ada", "the secret of Bob"
	as := func(secret, name string) string {
		return "?" + url.Values{"secret": {secret}, "name": {name}}.Encode()
	}
	for _, query := range []string{
		"", "?name=Ada", as("short", "Ada"), as(adasSecret, " "), as(adasSecret, strings.Repeat("a", 25)),
	} {
		var status ws.StatusError
		if _, err := tryChat(t, p.address, query); !errors.As(err, &status) || status != 400 {
			t.Errorf("%q: %v", query, err)
		}
	}
	ada := enter(as(adasSecret, " Ada "))
	hear(ada, `"type":"members"`)
	say(ada, "history")
	hear(ada, "history", `Ada`)
	wsutil.WriteClientText(ada, []byte(`{"type":"subscribe","topic":"cellar"}`))
	hear(ada, `"code":403`)
	say(ada, strings.Repeat("a", 2001))
	hear(ada, `"code":413`)
	bob := enter(as(bobsSecret, "Bob"))
	hear(bob, "history")
	bobsID := chatID(t, p.address, bobsSecret)
	hear(ada, `"joined":[{"id":"`+bobsID+`","info":"Bob"}]`)
	eve := enter(as(bobsID, "Eve")) // what all can see of Bob does not make her Bob
	hear(ada, `"joined":[{"id":"`, `"info":"Eve"}]`)
	eve.Close()
	hear(ada, `"left":["`)
	say(bob, "hi <b>Ada</b>")
	hear(ada, `hi \\u003cb\\u003eAda`, "Bob")
	bob.Close()
	hear(ada, `"left":["`+bobsID+`"]`)
	p.Process.Signal(syscall.SIGTERM)
	wantClose(t, ada, 1001)
	p.wait(t)
}

// chatID returns the id that others see of who has a secret.
func chatID(t *testing.T, address, secret string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/id?secret=" + url.QueryEscape(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	id, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(id, []byte(secret)) {
		t.Fatalf("the id is %q, status %s, %v", id, resp.Status, err)
	}
	return string(id)
}

func tryChat(t *testing.T, address, query string) (net.Conn, error) {
	t.Helper()
	c, _, _, err := ws.Dialer{Protocols: []string{"topics.v1.json"}}.Dial(t.Context(), "ws://"+address+"/ws"+query)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c, nil
}
