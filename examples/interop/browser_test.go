package interop

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium; its tabs share one profile.
func browser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		missing(t, "no Chromium on this machine")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	options = append(options, more...)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	// it logs events that it does not know
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

func tab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	return tabFor(t, browser, patience)
}

func tabFor(t *testing.T, browser context.Context, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return ctx
}

func do(t *testing.T, tab context.Context, what string, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(tab, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// until waits for a JavaScript expression to be true.
func until(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	err := chromedp.Run(tab, chromedp.Poll(expression, nil, chromedp.WithPollingInterval(20*time.Millisecond),
		chromedp.WithPollingTimeout(patience)))
	if err != nil {
		t.Fatalf("never true: %s: %v", expression, err)
	}
}

const texts = `[...document.querySelectorAll("#log .message .text")].map(e => e.textContent).join("|")`
const people = `[...document.querySelectorAll("#people .who")].map(e => e.textContent).join("|")`

const online = `document.body?.dataset.state === "online"`

// enter types into the element that has the focus, and presses Enter. The page puts the focus where
// it is wanted.
func enter(text string) chromedp.Action { return chromedp.KeyEvent(text + "\r") }

// TestChatInBrowser: two tabs join, see each other and exchange messages; markup stays text; who
// leaves is gone.
func TestChatInBrowser(t *testing.T) {
	t.Run("http", func(t *testing.T) {
		chatInBrowser(t, browser(t), "http://"+run(t, "chat", "127.0.0.1:0").address+"/")
	})
	t.Run("https", func(t *testing.T) {
		_, file := certificate(t) // of an issuer that the browser does not know
		server := run(t, "chat", "127.0.0.1:0", "-cert", file, "-key", file)
		b := browser(t, chromedp.Flag("ignore-certificate-errors", true))
		page := "https://" + server.address + "/"
		chatInBrowser(t, b, page)
		ada := tab(t, b)
		opened := make(chan string, 10)
		chromedp.ListenTarget(ada, func(ev any) {
			if ev, ok := ev.(*network.EventWebSocketCreated); ok {
				opened <- ev.URL
			}
		})
		do(t, ada, "open the page", network.Enable(), chromedp.Navigate(page+"?name=Ada"))
		until(t, ada, online+` && performance.getEntriesByType("navigation")[0].nextHopProtocol === "h2"`)
		if url := <-opened; !strings.HasPrefix(url, "wss:") {
			t.Errorf("the page opens %s", url)
		}
	})
}

func chatInBrowser(t *testing.T, b context.Context, page string) {
	t.Helper()
	ada, bob := tab(t, b), tab(t, b)
	do(t, ada, "open the page", chromedp.Navigate(page))
	until(t, ada, `document.activeElement.id === "name"`)
	do(t, ada, "join", enter("Ada"))
	until(t, ada, online)
	do(t, bob, "join by the address", chromedp.Navigate(page+"?name=Bob"))
	until(t, bob, online)
	until(t, ada, people+` === "Ada|Bob"`)
	until(t, bob, people+` === "Bob|Ada"`)
	do(t, ada, "say", enter("hello <b>Bob</b>"))
	until(t, bob, texts+` === "hello <b>Bob</b>"`)
	do(t, bob, "answer", enter("hello Ada"))
	until(t, ada, texts+` === "hello <b>Bob</b>|hello Ada"`)
	until(t, ada, `!document.querySelector(".pending")`)
	do(t, bob, "leave", chromedp.Navigate("about:blank"))
	until(t, ada, people+` === "Ada"`)
}

// TestChatReconnects: the server goes away and comes back on the same port, without its history.
// The page reconnects by itself, sends what was written meanwhile, says that messages may be
// missing, and shows nothing twice.
func TestChatReconnects(t *testing.T) {
	server := run(t, "chat", "127.0.0.1:0")
	r := newRelay(t, server.address)
	ada := tab(t, browser(t))
	do(t, ada, "join", chromedp.Navigate("http://"+r.address+"/?name=Ada"))
	until(t, ada, online)
	do(t, ada, "say", enter("before"))
	until(t, ada, texts+` === "before" && !document.querySelector(".pending")`)
	server.stop(t)
	until(t, ada, `document.body.dataset.state === "offline"`)
	do(t, ada, "write while offline", enter("meanwhile"))
	until(t, ada, `document.querySelectorAll(".pending").length === 1`)

	run(t, "chat", server.address)
	until(t, ada, online)
	until(t, ada, texts+` === "before|meanwhile" && !document.querySelector(".pending")`)
	until(t, ada, notices+`.includes("missing")`)

	r.set(relayCut) // the connection only
	until(t, ada, `document.body.dataset.state === "offline"`)
	r.set(relayOpen)
	until(t, ada, online+` && `+people+` === "Ada"`)
	do(t, ada, "say", enter("after"))
	until(t, ada, texts+` === "before|meanwhile|after" && !document.querySelector(".pending")`)
	until(t, ada, notices+`.match(/missing/g).length === 1`)
}

const notices = `[...document.querySelectorAll("#log .notice")].map(e => e.textContent).join("|")`
