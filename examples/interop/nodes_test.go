package interop

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
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
	screenshot(t, ada, "chat-desktop", 1280, 800, nil)
	screenshot(t, ada, "chat-phone", 390, 844, nil)
}

// TestNodesBehindHAProxy: the configurations of the guide spread clients over nodes, without
// stickiness. When a node dies, they are served by the other one.
func TestNodesBehindHAProxy(t *testing.T) {
	t.Run("TLS ends there", func(t *testing.T) {
		url := natsServer(t)
		nodes := []*process{
			run(t, "chat-nats", "127.0.0.1:0", "-nats", url), run(t, "chat-nats", "127.0.0.1:0", "-nats", url),
		}
		_, file := certificate(t)
		page := "https://" + haproxyFrom(t, blockOf(t, "topics.md", "### HAProxy ends TLS", "haproxy"),
			"10.0.0.1:8080", nodes[0].address, "10.0.0.2:8080", nodes[1].address,
			"/etc/haproxy/site.pem", file, "200000", "200") + "/"
		b := browser(t, chromedp.Flag("ignore-certificate-errors", true))
		ada, bob := tabFor(t, b, 12*patience), tabFor(t, b, 12*patience)
		do(t, ada, "join", chromedp.Navigate(page+"?name=Ada"))
		until(t, ada, online)
		do(t, bob, "join", chromedp.Navigate(page+"?name=Bob"))
		until(t, ada, people+` === "Ada|Bob"`)
		said := ""
		for i, text := range []string{"one", "two"} { // each node in turn
			nodes[i].Process.Kill()
			said = strings.TrimPrefix(said+"|"+text, "|")
			do(t, ada, "say", enter(text))
			for _, tab := range []context.Context{ada, bob} {
				until(t, tab, online+" && "+texts+` === "`+said+`" && !document.querySelector(".pending")`)
			}
			nodes[i] = run(t, "chat-nats", nodes[i].address, "-nats", url)
			until(t, bob, online+" && "+people+` === "Bob|Ada"`)
		}
	})
	t.Run("TLS passes through", func(t *testing.T) {
		own, file := certificate(t)
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			t.Fatal(err)
		}
		var sites []*site
		for range 2 {
			s := makeSite(t, nil)
			s.layer, err = tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
			if err != nil {
				t.Fatal(err)
			}
			s.pages.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
			s.proxy = &engine.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
			s.start("tcp", "127.0.0.1:0")
			sites = append(sites, s)
		}
		front := haproxyFrom(t, blockOf(t, "topics.md", "### HAProxy passes TLS through", "haproxy"),
			"10.0.0.1:8443", sites[0].address, "10.0.0.2:8443", sites[1].address, "200000", "200")
		for range 4 { // which stay
			c := dialTLS(t, own, front)
			c.send(true, []byte(doTellPeer))
			if _, peer, err := c.receive(); err != nil || !strings.HasPrefix(string(peer), "127.0.0.1:") ||
				string(peer) == front {
				t.Fatalf("%q, %v", peer, err)
			}
		}
		for i, s := range sites {
			if s.accepted.Load() < 2 {
				t.Errorf("node %d has had %d connections", i, s.accepted.Load())
			}
		}
		sites[0].stop()
		talk(t, dialTLS(t, own, front))
	})
}
