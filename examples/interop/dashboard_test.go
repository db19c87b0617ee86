package interop

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// complaints collects what a tab writes to the console, and exceptions that nobody caught.
func complaints(tab context.Context) func() []string {
	var mu sync.Mutex
	var all []string
	chromedp.ListenTarget(tab, func(ev any) {
		mu.Lock()
		defer mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			all = append(all, "console: "+string(ev.Type))
		case *runtime.EventExceptionThrown:
			all = append(all, ev.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			all = append(all, ev.Entry.Text)
		}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// figure is the large number of a chart.
const figure = `[...document.querySelectorAll(".figure")].map(e => e.textContent).join("|")`

// TestDashboardInBrowser: the page shows figures that change, without a word on the console, pauses
// while nobody looks, and comes back by itself when the server does.
func TestDashboardInBrowser(t *testing.T) {
	server := run(t, "dashboard", "127.0.0.1:0")
	b := browser(t)
	tab, other := tab(t, b), tab(t, b)
	complaints := complaints(tab)
	do(t, tab, "open the page", chromedp.EmulateViewport(390, 844), page.BringToFront(),
		chromedp.Navigate("http://"+server.address+"/"))
	until(t, tab, online)
	until(t, tab, `points.length >= 2 && points.at(-1).messages > 0 && sample.busiest.length > 0`)
	var before string
	do(t, tab, "read the figures", chromedp.Evaluate(figure, &before))
	until(t, tab, figure+` !== `+"`"+before+"`")
	for what, expression := range map[string]string{
		"lines in all charts":   `charts.every(c => c.svg.querySelector("path.l"))`,
		"bars in the histogram": `document.querySelectorAll("#lags rect").length > 3`,
		"loops": `[...document.querySelectorAll("#loops tbody td:nth-child(2)")]
			.every(e => parseInt(e.textContent) > 0)`,
		"busiest connections":     `/^127.0.0.1:\d+$/.test(document.querySelector("#busiest tbody td").textContent)`,
		"no broken numbers":       `!/NaN|undefined|null|Infinity/.test(document.querySelector("main").innerHTML)`,
		"nothing wider than this": `document.documentElement.scrollWidth <= innerWidth`,
	} {
		var ok bool
		if do(t, tab, what, chromedp.Evaluate(expression, &ok)); !ok {
			t.Errorf("missing: %s", what)
		}
	}
	if all := complaints(); len(all) > 0 {
		t.Errorf("the console says %q", all)
	}

	do(t, other, "look at another tab", page.BringToFront())
	until(t, tab, `document.body.dataset.state === "paused" && socket === null`)
	do(t, tab, "look again", page.BringToFront())
	until(t, tab, online)

	server.stop(t)
	until(t, tab, `document.body.dataset.state === "offline"`)
	begin := time.Now()
	run(t, "dashboard", server.address)
	until(t, tab, online+` && points.length > 0`)
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %v to come back", took)
	}
}
