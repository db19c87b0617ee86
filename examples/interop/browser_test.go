package interop

import (
	"context"
	"os/exec"
	"testing"
	"time"

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
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, patience)
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
	page := "http://" + run(t, "chat", "127.0.0.1:0").address + "/"
	b := browser(t)
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

// TestChatReconnects: the server goes away and comes back on the same port. The page reconnects by
// itself, sends what was written meanwhile, and shows nothing twice.
func TestChatReconnects(t *testing.T) {
	server := run(t, "chat", "127.0.0.1:0")
	ada := tab(t, browser(t))
	do(t, ada, "join", chromedp.Navigate("http://"+server.address+"/?name=Ada"))
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
	do(t, ada, "drop the connection only", chromedp.Evaluate(`socket.close()`, nil))
	until(t, ada, `mine.size === 3 && `+online) // the server has told its history again
	until(t, ada, texts+` === "before|meanwhile"`)
}
