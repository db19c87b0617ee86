package websocket_test

import (
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestLimitsAreSwitchedOffInTheSameWay: what the default of a limit refuses, a negative one lets
// pass.
func TestLimitsAreSwitchedOffInTheSameWay(t *testing.T) {
	masked := func(h wsproto.Header, payload string) string {
		h.Masked, h.Length = true, uint64(len(payload))
		return string(wsproto.AppendHeader(nil, h)) + payload // the key is 0
	}
	fragments := masked(wsproto.Header{Opcode: wsproto.Binary}, "") +
		strings.Repeat(masked(wsproto.Header{}, ""), 5000) +
		masked(wsproto.Header{Fin: true}, "")
	for _, test := range []struct {
		name    string
		off     websocket.Limits
		field   string // of the request
		frames  string
		refusal int // by default: an HTTP status, or a close code
	}{
		{name: "MaxMessage", off: websocket.Limits{MaxMessage: -1},
			frames:  masked(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, strings.Repeat("x", 2<<20)),
			refusal: 1009},
		{name: "MaxFragments", off: websocket.Limits{MaxFragments: -1}, frames: fragments, refusal: 1008},
		{name: "ControlRate", off: websocket.Limits{ControlRate: -1}, refusal: 1008,
			frames: strings.Repeat(masked(wsproto.Header{Fin: true, Opcode: wsproto.Pong}, ""), 3000) +
				masked(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, "")},
		{name: "MaxHeader", off: websocket.Limits{MaxHeader: -1}, field: "X: " + strings.Repeat("y", 20<<10),
			refusal: 431},
		{name: "MaxHeaderFields", off: websocket.Limits{MaxHeaderFields: -1},
			field: strings.Repeat("X: y\r\n", 200) + "X: y", refusal: 431},
	} {
		for _, off := range []bool{false, true} {
			name := test.name + " by default"
			limits := websocket.Limits{}
			if off {
				name, limits = test.name+" off", test.off
			}
			t.Run(name, func(t *testing.T) {
				messages := make(chan struct{}, 1)
				ended := make(chan error, 1)
				_, address := start(t, &websocket.Server{
					Limits:  limits,
					Message: func(*websocket.Conn, websocket.Opcode, []byte) { messages <- struct{}{} },
					Close:   func(_ *websocket.Conn, err error) { ended <- err },
				}, engine.Config{Loops: 1})
				var fields []string
				if test.field != "" {
					fields = []string{test.field}
				}
				c, status := openRaw(t, address, "/", fields...)
				want := 101
				if !off && test.field != "" {
					want = test.refusal
				}
				if status != want {
					t.Fatalf("status %d, want %d", status, want)
				}
				if test.frames == "" {
					return
				}
				// an error means that the server has closed the connection
				io.WriteString(c, test.frames)
				if off {
					receive(t, "message", messages)
					return
				}
				if code, reason := c.closeCode(t); int(code) != test.refusal {
					t.Fatalf("close code %d %q, want %d", code, reason, test.refusal)
				}
				receive(t, "Close", ended)
			})
		}
	}
}

// TestGuideHasAllLimits: the table of docs/websocket.md has every limit, and the guide names no
// field, and no Example, that does not exist.
func TestGuideHasAllLimits(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "websocket.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Limits and defaults")
	var listed []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			for _, name := range regexp.MustCompile("`([A-Za-z.]+)`").FindAllStringSubmatch(cells[2], -1) {
				listed = append(listed, name[1])
			}
		}
	}
	fields := map[string]bool{"engine.Config": true, "engine.ListenConfig": true}
	for prefix, of := range map[string]reflect.Type{
		"": reflect.TypeFor[websocket.Server](), "Compression.": reflect.TypeFor[websocket.Compression](),
		"engine.Config.":      reflect.TypeFor[engine.Config](),
		"engine.ProxyConfig.": reflect.TypeFor[engine.ProxyConfig](),
	} {
		for _, f := range reflect.VisibleFields(of) {
			fields[prefix+f.Name] = true
			limit := strings.HasPrefix(f.Name, "Max") || strings.HasSuffix(f.Name, "Timeout") ||
				strings.HasSuffix(f.Name, "Rate")
			if limit && prefix != "engine.Config." && !slices.Contains(listed, prefix+f.Name) {
				t.Errorf("the table has no %s%s", prefix, f.Name)
			}
		}
	}
	for _, name := range listed {
		if !fields[name] {
			t.Errorf("the table names %s, which does not exist", name)
		}
	}
	links := regexp.MustCompile(`\[(Example\w*)\]\(\.\./(codec/websocket/\w+\.go)\)`)
	for _, m := range links.FindAllStringSubmatch(string(page), -1) {
		code, err := os.ReadFile(filepath.Join("..", "..", m[2]))
		if err != nil || !strings.Contains(string(code), "\nfunc "+m[1]+"()") {
			t.Errorf("there is no %s in %s: %v", m[1], m[2], err)
		}
	}
}

// TestLargestLimits: a limit that is as good as none refuses nothing.
func TestLargestLimits(t *testing.T) {
	const most, forever = math.MaxInt, time.Duration(math.MaxInt64)
	_, address := start(t, &websocket.Server{
		Message: echo,
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		Limits: websocket.Limits{MaxMessage: most, MaxWhole: most, MaxFrame: most, MaxFragments: most,
			ControlRate: most, MaxHeader: most, MaxStartLine: most, MaxHeaderFields: most,
			HandshakeTimeout: forever, IdleTimeout: forever, PongTimeout: forever,
			ProgressTimeout: forever, CloseTimeout: forever},
		HTTPTimeout:   forever,
		MaxHandshakes: most, MaxHTTP: most, MaxHandshakesPerAddress: most, MaxHTTPPerAddress: most,
	}, engine.Config{Loops: 1})
	c := connect(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.response(t, 200)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	c.response(t, 200)
	ws := dial(t, address)
	ws.ask(t, gobwas.OpText, "hello")
	for _, part := range []string{"\x81\x83\x00\x00", "\x00\x00a", "bc"} { // in parts
		io.WriteString(ws, part)
	}
	ws.expect(t, gobwas.OpText, "abc")
	io.WriteString(ws, "\x88\x82\x00\x00\x00\x00\x03\xe8")
	if code, _ := ws.closeCode(t); code != gobwas.StatusNormalClosure {
		t.Errorf("close code %d", code)
	}
}
