package metrics_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine/metrics"
)

// get sends a request and returns the response and its body.
func get(t *testing.T, url, accept string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestInspect(t *testing.T) {
	e, address := serve(t)
	web := httptest.NewServer(metrics.Inspect(e))
	defer web.Close()
	c := say(t, address, "hello")

	type answer struct {
		resp *http.Response
		body string
	}
	busy := func(query, accept string) answer { // inspects while there is traffic
		t.Helper()
		done := make(chan answer)
		go func() {
			resp, body := get(t, web.URL+query, accept)
			done <- answer{resp, body}
		}()
		b := make([]byte, 3)
		for {
			select {
			case a := <-done:
				return a
			default:
			}
			c.Write([]byte("abc"))
			if _, err := io.ReadFull(c, b); err != nil {
				t.Fatal(err)
			}
		}
	}

	a := busy("?period=1s&top=1", "*/*")
	var found metrics.Inspection
	err := json.Unmarshal([]byte(a.body), &found)
	if err != nil || a.resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %v %s", err, a.resp, a.body)
	}
	busiest := append(found.Loops[0].Busiest, found.Loops[1].Busiest...)
	if found.PeriodSeconds != 1 || len(busiest) != 1 || found.Loops[0].Connections+found.Loops[1].Connections != 1 {
		t.Fatal(a.body)
	}
	if b := busiest[0]; b.Remote != c.LocalAddr().String() || b.Local != address || b.State != "open" ||
		b.ReadBytes < 3 ||
		b.WrittenBytes < 3 || b.Protocol != "metrics_test.echo" {
		t.Errorf("%+v", b)
	}

	a = busy("?period=1s", "text/html,application/xhtml+xml,*/*;q=0.8")
	if !strings.HasPrefix(a.resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%v", a.resp.Header)
	}
	for _, want := range []string{"<h2>Loop 1</h2>", "<td>" + c.LocalAddr().String(), "<code>metrics_test.echo</code>",
		"No traffic.", "</html>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %q in %s", want, a.body)
		}
	}
	if strings.Contains(a.body, "%!") {
		t.Errorf("the page is broken: %s", a.body)
	}
	if _, body := get(t, web.URL+"?period=1ms&top=0", "*/*"); strings.Contains(body, "remote") {
		t.Errorf("top=0 shows %s", body)
	}
}

func TestInspectRefuses(t *testing.T) {
	e, _ := serve(t)
	web := httptest.NewServer(metrics.Inspect(e))
	defer web.Close()
	for _, query := range []string{"period=1", "period=-1s", "period=0s", "period=11s", "period=x", "top=-1", "top=101",
		"top=x"} {
		resp, body := get(t, web.URL+"?"+query, "*/*")
		name, _, _ := strings.Cut(query, "=")
		if resp.StatusCode != 400 || !strings.Contains(body, name) || !strings.Contains(body, "want") {
			t.Errorf("%s: %d %s", query, resp.StatusCode, body)
		}
	}
	resp, err := http.Post(web.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET" {
		t.Errorf("POST: %d, allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
	e.Close()
	if resp, body := get(t, web.URL, "*/*"); resp.StatusCode != 503 || !strings.Contains(body, "engine: closed") {
		t.Errorf("after the end: %d %s", resp.StatusCode, body)
	}
}

func TestPageEscapes(t *testing.T) {
	var b bytes.Buffer
	metrics.WritePage(&b, metrics.Inspection{Loops: []metrics.LoopInspection{{
		Busiest: []metrics.ConnInspection{{Remote: "<r>", Local: "<l>", Protocol: "*main.chat[<-chan int]",
			State: "<s>"}},
	}}})
	for _, want := range []string{"&lt;r&gt;", "&lt;l&gt;", "<code>*main.chat[&lt;-chan int]</code>", "&lt;s&gt;"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %s", want, b.String())
		}
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 1400: "1.40 kB", 9994: "9.99 kB", 9996: "10.0 kB", 99_960: "100 kB",
		999_499: "999 kB",
		999_500: "1.00 MB", 12_340_000: "12.3 MB", 1 << 63: "9.22 EB",
	} {
		if got := metrics.ByteSize(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := metrics.ByteSize(1500); got != "1.50 kB" { // an int
		t.Error(got)
	}
}
