package interop

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestArenaInBrowser: a player joins, sees a world that moves, and plays; after its connection is
// lost it comes back to the same ship.
func TestArenaInBrowser(t *testing.T) {
	server := run(t, "arena", "127.0.0.1:0", "-bots", "30")
	b := browser(t)
	tab := tab(t, b)
	complaints := complaints(tab)
	do(t, tab, "open the page", chromedp.EmulateViewport(1280, 800),
		chromedp.Navigate("http://"+server.address+"/?name=Ada"))
	until(t, tab, online)
	until(t, tab, `snaps.length > 20 && board?.bots === 30 && snaps.at(-1).t > snaps[0].t`)
	for what, expression := range map[string]string{
		"its own ship":            `snaps.at(-1).ships.has(me) && names[me] === "Ada"`,
		"figures":                 `/\d ms/.test(document.getElementById("late99").textContent)`,
		"no broken numbers":       `!/NaN|undefined|null|Infinity/.test(document.body.innerText)`,
		"nothing wider than this": `document.documentElement.scrollWidth <= innerWidth`,
	} {
		var ok bool
		if do(t, tab, what, chromedp.Evaluate(expression, &ok)); !ok {
			t.Errorf("missing: %s", what)
		}
	}
	do(t, tab, "move and shoot", chromedp.Evaluate(`before = { x: self.x, y: self.y };
		keys.add(self.x > world / 2 ? "KeyA" : "KeyD"); mouse.down = true`, nil))
	until(t, tab, `Math.hypot(self.x - before.x, self.y - before.y) > 100 && rtts.length > 10`)
	until(t, tab, `snaps.at(-1).ships.size > 2 && Math.abs(self.x - world / 2) < 1100`)
	do(t, tab, "stop", chromedp.Evaluate(`keys.clear(); mouse.down = false`, nil))
	newBoard := func() { // so that a picture has one
		do(t, tab, "forget the scores", chromedp.Evaluate(`board = null`, nil))
		until(t, tab, `board !== null`)
	}
	screenshot(t, tab, "arena-desktop", 1280, 800, newBoard)

	var before, after string
	const ship = `me + " " + token`
	do(t, tab, "lose the connection", chromedp.Evaluate(`socket.close(); snaps = []; `+ship, &before))
	until(t, tab, `document.body.dataset.state === "offline"`)
	until(t, tab, online+` && snaps.length > 0`)
	do(t, tab, "look who it is", chromedp.Evaluate(ship, &after))
	if after != before {
		t.Errorf("it was %q, and is %q", before, after)
	}
	screenshot(t, tab, "arena-phone", 390, 844, newBoard)
	if all := complaints(); len(all) > 0 {
		t.Errorf("the console says %q", all)
	}
}
