package examples

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws/wsutil"
)

// wantPages gets the page and the health check that share the WebSocket's port.
func wantPages(t *testing.T, p *process) {
	t.Helper()
	for path, want := range map[string]string{"/": "<!doctype html>", "/healthz": "ok"} {
		resp, err := http.Get("http://" + p.address + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(strings.ToLower(string(b)), want) {
			t.Fatalf("%s: %d, %.100q, %v", path, resp.StatusCode, b, err)
		}
	}
}

// figures has the part of the dashboard's events that the tests look at.
type figures struct {
	Type    string
	About   struct{ Loops, Demo int }
	History []struct{ Connections int }
	Sample  struct {
		Point struct {
			Connections int
			Messages    float64
			P99         float64 `json:"p99_seconds"`
		}
		Loops   []struct{ Messages float64 }
		Stats   struct{ Accepted int }
		Busiest []struct{ Remote string }
	}
}

// watch reads events until one is as wanted, and returns it.
func watch(t *testing.T, c net.Conn, what string, wanted func(*figures) bool) *figures {
	t.Helper()
	for {
		b, err := wsutil.ReadServerText(c)
		if err != nil {
			t.Fatalf("no %s: %v", what, err)
		}
		f := new(figures)
		if err := json.Unmarshal(b, f); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if wanted(f) {
			return f
		}
	}
}

func TestDashboard(t *testing.T) {
	p := run(t, "dashboard", "-addr", "127.0.0.1:0", "-loops", "2", "-demo", "20")
	wantPages(t, p)
	c := dialWS(t, p.address, "/ws")
	hello := watch(t, c, "hello", func(f *figures) bool { return f.Type == "hello" })
	if hello.About.Loops != 2 || hello.About.Demo != 20 {
		t.Errorf("%+v", hello)
	}
	f := watch(t, c, "load", func(f *figures) bool {
		s := f.Sample
		// Some clients may be about to connect again.
		return s.Point.Connections >= 18 && s.Point.Messages > 0 && len(s.Busiest) > 0
	})
	if s := f.Sample; s.Point.P99 <= 0 || len(s.Loops) != 2 || s.Loops[0].Messages == 0 || s.Loops[1].Messages == 0 ||
		s.Stats.Accepted < 18 || !strings.HasPrefix(s.Busiest[0].Remote, "127.0.0.1:") {
		t.Errorf("%+v", f)
	}
	second := dialWS(t, p.address, "/ws")
	if hello := watch(t, second, "hello", func(f *figures) bool { return f.Type == "hello" }); len(hello.History) == 0 {
		t.Errorf("the second page gets no history: %+v", hello)
	}
	second.Close()
	echo := dialWS(t, p.address, "/echo")
	wsutil.WriteClientText(echo, []byte("hello"))
	if got, err := wsutil.ReadServerText(echo); string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	p.Process.Signal(syscall.SIGTERM)
	wantClose(t, echo, 1001)
	p.wait(t)
}

// statusOf returns the status of the page at address, asked for by the name of host.
func statusOf(t *testing.T, address, host string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestDashboardOfAForeignName: a page whose name was resolved to this machine must not read it.
func TestDashboardOfAForeignName(t *testing.T) {
	p := run(t, "dashboard", "-addr", "127.0.0.1:0", "-demo", "0")
	for host, want := range map[string]int{"localhost:8080": 200, "evil.example:8080": 421} {
		if got := statusOf(t, p.address, host); got != want {
			t.Errorf("%s: status %d, want %d", host, got, want)
		}
	}
	p.stop(t, syscall.SIGTERM)
}

// TestDashboardWithoutDemo checks that the page's connection is the only one.
func TestDashboardWithoutDemo(t *testing.T) {
	p := run(t, "dashboard", "-addr", "127.0.0.1:0", "-demo", "0")
	c := dialWS(t, p.address, "/ws")
	// The first sample may have been taken before the connection was there.
	f := watch(t, c, "sample", func(f *figures) bool { return f.Type == "sample" && f.Sample.Point.Connections > 0 })
	if f.Sample.Point.Connections != 1 || f.Sample.Point.Messages != 0 {
		t.Errorf("%+v", f)
	}
	p.stop(t, syscall.SIGTERM)
}

// TestDashboardForOthers: on all addresses of the machine, as the usage shows it, it refused its
// own clients, and every page from elsewhere.
func TestDashboardForOthers(t *testing.T) {
	p := run(t, "dashboard", "-addr", "0.0.0.0:0", "-host", "example.com", "-demo", "2")
	_, port, _ := net.SplitHostPort(p.address)
	near := "127.0.0.1:" + port
	for host, want := range map[string]int{"example.com": 200, "evil.example": 421} {
		if got := statusOf(t, near, host); got != want {
			t.Errorf("%s: status %d, want %d", host, got, want)
		}
	}
	watch(t, dialWS(t, near, "/ws"), "load", func(f *figures) bool {
		return f.Type == "sample" && f.Sample.Point.Messages > 0
	})
	p.stop(t, syscall.SIGTERM)
}
