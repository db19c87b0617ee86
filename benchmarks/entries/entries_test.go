package entries

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/benchmarks/internal/proctest"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

const patience = 30 * time.Second

// build builds an entry as its Dockerfile does: from main.go only, in a module of its own. Myriad
// is that of this repository.
func build(t *testing.T, name string) string {
	t.Helper()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := os.ReadFile(filepath.Join(name, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(repository, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string][]byte{"main.go": program, "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "server")
	for _, args := range [][]string{
		{"mod", "init", "entry"},
		{"mod", "edit", "-require", "github.com/myriadnet/myriad@v0.0.0"},
		{"mod", "edit", "-replace", "github.com/myriadnet/myriad=" + repository},
		{"build", "-mod", "mod", "-o", binary, "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	return binary
}

// start starts an entry, and waits until it listens.
func start(t *testing.T, args ...string) {
	t.Helper()
	if _, err := proctest.Start(t, args...); err != nil {
		t.Fatal(err)
	}
}

// echo wants the echo of a text and of bytes.
func echo(t *testing.T, port int) {
	t.Helper()
	c, err := wsconn.Dial(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/ws", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, op := range []wsconn.Opcode{wsconn.Text, wsconn.Binary} {
		want := bytes.Repeat([]byte("hello"), 1+2000*int(op))
		if err := c.Write(t.Context(), op, want); err != nil {
			t.Fatal(err)
		}
		if got, b, err := c.Read(t.Context()); err != nil || got != op || !bytes.Equal(b, want) {
			t.Fatalf("got %v of %d bytes, %v", got, len(b), err)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := proc.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestHTTPArena(t *testing.T) {
	port := freePort(t)
	start(t, build(t, "httparena"), "-addr", fmt.Sprintf("127.0.0.1:%d", port))
	echo(t, port)
	b, err := os.ReadFile(filepath.Join("httparena", "meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	var meta struct{ Tests []string }
	if err := json.Unmarshal(b, &meta); err != nil || len(meta.Tests) != 1 || meta.Tests[0] != "echo-ws" {
		t.Errorf("meta.json: %v, %v", meta, err)
	}
}

func TestGoWebsocketBenchmark(t *testing.T) {
	port := freePort(t)
	start(t, build(t, "gowebsocketbenchmark"), "-host", "127.0.0.1", "-ports", fmt.Sprintf("%d:%[1]d", port), "-b=1024")
	echo(t, port)
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	resp, err := http.Post(url+"/init", "", strings.NewReader(`{"PsInterval":10000000}`))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || len(pid) == 0 || strings.Trim(string(pid), "0123456789") != "" {
		t.Errorf("/init answered %q, %v", pid, err)
	}
	var used struct {
		CPU []float64
		Mem []struct{ RSS uint64 }
	}
	for end := time.Now().Add(patience); len(used.CPU) == 0; time.Sleep(time.Millisecond) {
		resp, err := http.Get(url + "/ps")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(resp.Body).Decode(&used)
		if resp.Body.Close(); err != nil || time.Now().After(end) {
			t.Fatalf("/ps: %+v, %v", used, err)
		}
	}
	if len(used.Mem) != len(used.CPU) || used.Mem[0].RSS == 0 {
		t.Errorf("/ps: %+v", used)
	}
}
