package examples

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gobwas/ws/wsutil"
)

func TestNetHTTP(t *testing.T) {
	p := run(t, "nethttp", "-addr", "127.0.0.1:0")
	resp, err := http.Get("http://" + p.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.HasPrefix(string(b), "request 1;") || resp.Header.Get("X-Request") != "1" {
		t.Errorf("%q, %v, %v", b, resp.Header, err)
	}
	c := dialWS(t, p.address, "/echo/Ada")
	for _, want := range []string{"hello, Ada", "and back"} {
		if got, err := wsutil.ReadServerText(c); err != nil || string(got) != want {
			t.Fatalf("%q, %v; want %q", got, err, want)
		}
		wsutil.WriteClientText(c, []byte("and back"))
	}
	p.Process.Signal(syscall.SIGTERM)
	wsutil.ReadServerText(c) // the echo of the last one
	p.wait(t)
}
