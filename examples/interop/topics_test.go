package interop

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/engine"
)

// TestTopicsClient runs the client's own tests.
func TestTopicsClient(t *testing.T) {
	script := filepath.Join("..", "..", "codec", "websocket", "topic", "wire", "testdata", "topics.test.mjs")
	if out, err := finish(t, exec.Command(program(t, "node"), "--test", script)); err != nil {
		t.Errorf("%s%v", out, err)
	}
}

// outage is how long a browser has no network. Two seconds are what a run of all tests has time
// for.
func outage(t *testing.T) time.Duration {
	text := os.Getenv("MYRIAD_OUTAGE")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// feed is a server with two topics of numbers that count up: "whole", whose history has all of
// them, and "short", whose history has the last ten.
type feed struct {
	hub     topic.Hub
	address string
	count   int
}

// feedPage writes down what it gets, as "N" or "gap".
const feedPage = `<!doctype html><script type="module">
import { Topics } from "./topics.js";
const query = new URLSearchParams(location.search), period = Number(query.get("period"));
const delay = Number(query.get("delay"));
window.states = [];
window.told = { whole: [], short: [] };
const topics = new Topics("ws", { encoding: query.get("encoding"), minDelay: delay, maxDelay: delay * 10,
  pingAfter: period, pongTimeout: period, connectTimeout: period, onState: (state) => states.push(state) });
for (const [name, list] of Object.entries(told)) {
  topics.subscribe(name, { onMessage: (data) => list.push(data), onGap: () => list.push("gap") });
}
</script>`

func newFeed(t *testing.T) *feed {
	f := &feed{hub: topic.Hub{Options: func(name string) topic.Options {
		if name == "short" {
			return topic.Options{History: 10}
		}
		return topic.Options{History: 1 << 20, HistoryBytes: 64 << 20}
	}}}
	topics := &wire.Endpoint{Hub: &f.hub}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, feedPage) })
	pages.HandleFunc("GET /topics.js", wire.ServeScript)
	server := &websocket.Server{Subprotocols: topics.Subprotocols(), Message: topics.Message, Handler: pages}
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		t.Fatal(err)
	}
	f.address = ln.String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// publish counts up for a while.
func (f *feed) publish(t *testing.T, while time.Duration) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(while); time.Now().Before(end); <-tick.C {
		f.count++
		for _, name := range []string{"whole", "short"} {
			if err := f.hub.Publish(name, websocket.Text, []byte(strconv.Itoa(f.count))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// check wants numbers that count up to the last one, and a gap wherever some are missing.
func (f *feed) check(t *testing.T, name string, told []string, gaps bool) {
	t.Helper()
	last, count, gap := 0, 0, false
	for _, what := range told {
		if what == "gap" {
			gap = true
			count++
			continue
		}
		n, err := strconv.Atoi(what)
		if err != nil || n <= last || n > last+1 && last > 0 && !gap {
			t.Fatalf("%s: %q after %d, gap: %v", name, what, last, gap)
		}
		last, gap = n, false
	}
	if last != f.count {
		t.Errorf("%s: the last one is %d, want %d", name, last, f.count)
	}
	if (count > 0) != gaps {
		t.Errorf("%s: %d gaps, want some: %v", name, count, gaps)
	}
}

// TestTopicsSurviveAnOutage: a browser whose network is gone for a while has all messages
// afterwards, in order, if the history has them, and is told of a gap otherwise.
func TestTopicsSurviveAnOutage(t *testing.T) {
	b := browser(t)
	for name, test := range map[string]struct {
		encoding string
		delay    int // before the first attempt, in milliseconds; 0: short
		begin    func(*testing.T, context.Context, *relay)
		end      func(*testing.T, context.Context, *relay)
	}{
		"the network refuses": {encoding: "binary",
			begin: func(_ *testing.T, _ context.Context, r *relay) { r.set(relayCut) },
			end:   func(_ *testing.T, _ context.Context, r *relay) { r.set(relayOpen) }},
		"the network swallows": {encoding: "json",
			begin: func(_ *testing.T, _ context.Context, r *relay) { r.set(relayFrozen) },
			end:   func(_ *testing.T, _ context.Context, r *relay) { r.set(relayOpen) }},
		// Its WebSockets stay as they are. When it is online again, the page does not wait any
		// longer.
		"the browser is offline": {encoding: "binary", delay: 30_000,
			begin: func(t *testing.T, tab context.Context, r *relay) {
				offline(t, tab, true)
				r.set(relayCut)
			},
			end: func(t *testing.T, tab context.Context, r *relay) {
				r.set(relayOpen)
				offline(t, tab, false)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := newFeed(t), outage(t)
			tab := tabFor(t, b, patience+d)
			r := newRelay(t, f.address)
			page := fmt.Sprintf("http://%s/?encoding=%s&period=%d&delay=%d", r.address, test.encoding,
				d.Milliseconds()/4, cmp.Or(test.delay, 50))
			do(t, tab, "open the page", chromedp.Navigate(page))
			until(t, tab, `states.at(-1) === "open"`)
			f.publish(t, 100*time.Millisecond)
			until(t, tab, fmt.Sprintf(`told.whole.at(-1) === "%d"`, f.count))
			test.begin(t, tab, r)
			f.publish(t, d)
			test.end(t, tab, r)
			f.publish(t, 100*time.Millisecond)
			last := fmt.Sprintf(`.at(-1) === "%d"`, f.count)
			until(t, tab, `told.whole`+last+` && told.short`+last)
			var states string
			var told struct{ Whole, Short []string }
			do(t, tab, "read what it was told", chromedp.Evaluate(`told`, &told),
				chromedp.Evaluate(`states.join(" ")`, &states))
			if !strings.Contains(states, "waiting connecting") {
				t.Errorf("there was no outage: %s", states)
			}
			f.check(t, "whole", told.Whole, false)
			f.check(t, "short", told.Short, true)
			t.Logf("%d messages in all; states %s", f.count, states)
		})
	}
}

func offline(t *testing.T, tab context.Context, is bool) {
	t.Helper()
	do(t, tab, "network", network.Enable(), network.OverrideNetworkState(is, 0, -1, -1),
		chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := network.EmulateNetworkConditionsByRule(is, []*network.Conditions{}).Do(ctx)
			return err
		}))
}

// relay is a network between a browser and a server, which can fail.
type relay struct {
	address string
	to      string

	mu    sync.Mutex
	state relayState
	woken chan struct{} // closed when the state changes
	conns map[net.Conn]bool
}

type relayState int

const (
	relayOpen   relayState = iota
	relayCut               // connections are reset, and new ones as well
	relayFrozen            // nothing comes through
)

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: ln.Addr().String(), to: to, woken: make(chan struct{}), conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		ln.Close()
		r.set(relayCut)
	})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	return r
}

func (r *relay) set(s relayState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = s
	close(r.woken)
	r.woken = make(chan struct{})
	if s == relayCut {
		for c := range r.conns {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}
}

func (r *relay) serve(front net.Conn) {
	defer front.Close()
	back, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer back.Close()
	r.mu.Lock()
	if r.state == relayCut {
		r.mu.Unlock()
		return
	}
	r.conns[front], r.conns[back] = true, true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.conns, front)
		delete(r.conns, back)
		r.mu.Unlock()
	}()
	ended := make(chan bool, 2)
	for _, way := range [][2]net.Conn{{front, back}, {back, front}} {
		go func() {
			r.copy(way[1], way[0])
			ended <- true
		}()
	}
	<-ended
}

// copy passes bytes on, unless the relay is frozen.
func (r *relay) copy(to, from net.Conn) {
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		for r.frozen() {
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// frozen waits until the state changes if the relay is frozen.
func (r *relay) frozen() bool {
	r.mu.Lock()
	state, woken := r.state, r.woken
	r.mu.Unlock()
	if state != relayFrozen {
		return false
	}
	<-woken
	return true
}
