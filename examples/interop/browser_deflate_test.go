package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestBrowserCompresses: Chromium's own WebSocket with permessage-deflate, against wsecho with it
// and without: texts and bytes of every size, and the closing handshake.
func TestBrowserCompresses(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>echo</title>")
	}))
	defer page.Close()
	b := browser(t)
	for _, test := range []struct {
		name      string
		args      []string
		extension string
	}{
		{"compressed", []string{"-compress"}, "permessage-deflate"},
		{"not compressed", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := run(t, "wsecho", "127.0.0.1:0", test.args...)
			tab := tab(t, b)
			do(t, tab, "open a page", chromedp.Navigate(page.URL))
			talkInBrowser(t, tab, "ws://"+server.address+"/", "extensions "+test.extension+", closed 4000 true")
		})
	}
}

// talkInBrowser has a page exchange messages of every size, and close.
func talkInBrowser(t *testing.T, tab context.Context, url, want string) {
	t.Helper()
	inBrowser(t, tab, `
		const s = new WebSocket("`+url+`");
		s.binaryType = "arraybuffer";
		const inbox = [], waiting = [];
		s.onmessage = e => waiting.length ? waiting.shift()(e.data) : inbox.push(e.data);
		const next = () => inbox.length ? inbox.shift() : new Promise(r => waiting.push(r));
		await new Promise((ok, bad) => { s.onopen = ok; s.onerror = () => bad("no connection"); });
		for (const n of [0, 1, 125, 126, 1000, 65535, 65536, 1 << 20]) {
			const text = "größer ".repeat(n / 7), noise = new Uint8Array(n);
			for (let i = 0; i < n; i += 65536)
				crypto.getRandomValues(noise.subarray(i, Math.min(i + 65536, n)));
			for (let round = 0; round < 3; round++) {
				s.send(text);
				if (await next() !== text) throw "text of " + n;
				s.send(noise);
				const back = new Uint8Array(await next());
				if (back.length !== n || back.some((b, i) => b !== noise[i])) throw "bytes of " + n;
			}
		}
		const closed = new Promise(r => s.onclose = r);
		s.close(4000, "enough");
		const e = await closed;
		return "extensions " + s.extensions + ", closed " + e.code + " " + e.wasClean;`, want)
}

// inBrowser runs the body of an asynchronous function in a page, and compares what it returns.
func inBrowser(t *testing.T, tab context.Context, body, want string) {
	t.Helper()
	do(t, tab, "run a script", chromedp.Evaluate(`
		globalThis.result = "nothing yet";
		(async () => {`+body+`})().then(r => result = r, e => result = "failed: " + e);
		0`, nil))
	until(t, tab, `result !== "nothing yet"`)
	var result string
	do(t, tab, "ask", chromedp.Evaluate(`result`, &result))
	if result != want {
		t.Errorf("%q, want %q", result, want)
	}
}
