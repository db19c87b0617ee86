package interop

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/myriadnet/myriad/codec/websocket"
)

// TestBrowserBehindProxies: Chromium loads a page through a proxy and connects to where the page
// comes from; the check of its Origin holds.
func TestBrowserBehindProxies(t *testing.T) {
	b := browser(t)
	for name, front := range map[string]func(*testing.T, *site) string{
		"nginx": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `http { `+upgradeMap+` upstream site { server BACK; keepalive 4; }
				server { listen FRONT; location / { proxy_pass http://site; `+upgradeHeaders+` } } }`)
			return front
		},
		"nginx stream": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `stream { server { listen FRONT; proxy_pass BACK; } }`)
			return front
		},
		"HAProxy": func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode http\noption httpchk\nserver a SITE")
			return front
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, &websocket.Compression{ServerTakeover: true, ClientTakeover: true})
			front, tab := front(t, s), tab(t, b)
			do(t, tab, "open the page", chromedp.Navigate("http://"+front+"/"))
			talkInBrowser(t, tab, "ws://"+front+"/", "extensions permessage-deflate, closed 4000 true")
			closesInBrowser(t, tab, "ws", front)

			other := strings.Replace(front, "127.0.0.1", "localhost", 1) // another origin
			do(t, tab, "open the page of another origin", chromedp.Navigate("http://"+other+"/"))
			inBrowser(t, tab, `const s = new WebSocket("ws://`+front+`/");
				return await new Promise(r => { s.onopen = () => r("open"); s.onerror = () => r("refused"); })`,
				"refused")
		})
	}
}

// closesInBrowser has the server close, and asks for a page meanwhile.
func closesInBrowser(t *testing.T, tab context.Context, scheme, front string) {
	t.Helper()
	inBrowser(t, tab, `
		const s = new WebSocket("`+scheme+`://`+front+`/", ["other", "chat"]);
		await new Promise((ok, bad) => { s.onopen = ok; s.onerror = () => bad("no connection"); });
		const next = () => new Promise(r => s.onmessage = e => r(e.data));
		s.send("do: ping");
		if (await next() !== "ponged") throw "no pong";
		s.send("do: fragments");
		if ((await next()).length !== 440000) throw "fragments";
		const text = await (await fetch("/flow")).text();
		if (!text.endsWith("line 49\n")) throw "page: " + text;
		const closed = new Promise(r => s.onclose = r);
		s.send("do: close");
		const e = await closed;
		return [s.protocol, e.code, e.reason, e.wasClean].join(" ");`, "chat 4001 bye true")
}
