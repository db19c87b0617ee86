package interop

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats-server/v2/server"
)

// natsServer runs a NATS server with JetStream, and returns its URL.
func natsServer(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	return s.ClientURL()
}

// TestChatAcrossNodes: two processes are one room. When one is killed and comes back, its page has
// what was said meanwhile, and the other one sees it leave and return.
func TestChatAcrossNodes(t *testing.T) {
	url := natsServer(t)
	first, second := run(t, "chat-nats", "127.0.0.1:0", "-nats", url), run(t, "chat-nats", "127.0.0.1:0", "-nats", url)
	b := browser(t)
	ada, bob := tabFor(t, b, 6*patience), tabFor(t, b, 6*patience)
	do(t, ada, "join", chromedp.Navigate("http://"+first.address+"/?name=Ada"))
	until(t, ada, online)
	do(t, bob, "join", chromedp.Navigate("http://"+second.address+"/?name=Bob"))
	until(t, ada, people+` === "Ada|Bob"`)
	until(t, bob, people+` === "Bob|Ada"`)
	do(t, ada, "say", enter("hello Bob"))
	until(t, bob, texts+` === "hello Bob"`)

	first.Process.Kill()
	until(t, ada, `document.body.dataset.state === "offline"`)
	do(t, bob, "say", enter("where are you?"))
	do(t, ada, "answer", enter("here"))
	eventually(t, "Bob sees her leave", func() bool {
		var who string
		do(t, bob, "look", chromedp.Evaluate(people, &who))
		return who == "Bob"
	})
	run(t, "chat-nats", first.address, "-nats", url)
	for _, tab := range []struct {
		name string
		wait func(string)
	}{
		{"Ada", func(e string) { until(t, ada, e) }}, {"Bob", func(e string) { until(t, bob, e) }},
	} {
		tab.wait(online)
		tab.wait(texts + ` === "hello Bob|where are you?|here" && !document.querySelector(".pending")`)
		tab.wait(`!` + notices + `.includes("missing")`)
		tab.wait(people + `.split("|").sort().join("|") === "Ada|Bob"`)
	}
	screenshot(t, ada, "chat")
}

// screenshot writes pictures of a page, as a desktop and a phone show it, to the folder of
// MYRIAD_SCREENSHOTS.
func screenshot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	folder := os.Getenv("MYRIAD_SCREENSHOTS")
	if folder == "" {
		return
	}
	for kind, size := range map[string][2]int64{"desktop": {1280, 800}, "phone": {390, 844}} {
		var png []byte
		do(t, tab, "picture", chromedp.EmulateViewport(size[0], size[1]), chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(folder, name+"-"+kind+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
