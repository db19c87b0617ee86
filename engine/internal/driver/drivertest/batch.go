package drivertest

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
)

var batchCases = []testCase{
	{name: "close others in the middle of a batch", run: func(h *host) {
		conns := ready(h, 8)
		var survivor *conn
		h.onReceived = func(c *conn) bool {
			if survivor == nil {
				survivor = c
				for _, o := range conns {
					if o != c {
						o.close(false)
					}
				}
			}
			return false
		}
		h.until("bytes", func() bool { return survivor != nil })
		h.quiet("one left, and read")
		h.check(len(survivor.got) == 3, "got %q", survivor.got)
	}},
	{name: "close itself in Reading", run: func(h *host) {
		conns := ready(h, 4)
		h.onReading = func(c *conn) { c.close(false) }
		h.until("end of all", func() bool { return len(h.conns) == 0 })
		for _, c := range conns {
			h.check(len(c.got) == 0, "got %q after the close", c.got)
		}
	}},
	{name: "close itself in Received", run: func(h *host) {
		conns := ready(h, 4)
		h.onReceived = func(c *conn) bool {
			c.close(false)
			return true // a driver must ask Reading before it reads on
		}
		h.until("end of all", func() bool { return len(h.conns) == 0 })
		for _, c := range conns {
			h.check(string(c.got) == "abc", "got %q", c.got)
		}
	}},
	{name: "descriptor reused within a batch", run: func(h *host) {
		// Some connections are closed and new ones accepted in the same Poll. The new ones get the
		// same descriptors and slots. They must never see an event of their predecessors.
		for range 20 {
			old := ready(h, 4)
			accepted := len(h.order)
			var peers []Peer
			for range 4 {
				p := h.peer()
				h.noErr(p.Send([]byte("xyz")))
				peers = append(peers, p)
			}
			h.onReceived = func(c *conn) bool {
				for _, o := range old {
					o.close(false)
				}
				return false
			}
			h.onAccepted = func(c *conn) bool {
				c.set(driver.Read)
				return true
			}
			h.until("new connections and their bytes", func() bool {
				n := 0
				for _, c := range h.order[accepted:] {
					if string(c.got) == "xyz" {
						n++
					}
				}
				return n == 4
			})
			for _, c := range h.order[accepted:] {
				h.check(string(c.got) == "xyz" && c.ended() == 0, "got %q, ended %d times", c.got, c.ended())
				c.close(false)
			}
			for _, o := range old {
				o.close(false)
			}
			for _, p := range peers {
				h.noErr(p.Close())
			}
			h.onReceived, h.onAccepted = nil, nil
		}
	}},
	{name: "some that are always ready keep out no others", run: func(h *host) {
		// Only the first event of each Poll is served, and its connection is ready again at once.
		peers := make(map[*conn]Peer)
		for range 8 {
			c, p := h.pair(0)
			h.noErr(p.Send([]byte("a")))
			peers[c] = p
		}
		for _, c := range h.order {
			c.set(driver.Read)
		}
		served := false
		h.onReading = func(c *conn) { c.skip, served = served, true }
		h.onReceived = func(c *conn) bool {
			h.noErr(peers[c].Send([]byte("a")))
			return false
		}
		h.until("turn for each", func() bool {
			served = false
			for c := range peers {
				if c.reads == 0 {
					return false
				}
			}
			return true
		})
	}},
	{name: "a panic in Reading loses no event", run: func(h *host) {
		conns := ready(h, 8)
		panics := 3
		h.onReading = func(*conn) {
			if panics--; panics >= 0 {
				panic("handler")
			}
		}
		h.survive("all bytes", func() bool { return received(conns, "abc") })
	}},
	{name: "a panic in Received loses no event", run: func(h *host) {
		conns := ready(h, 8)
		panics := 3
		h.onReceived = func(*conn) bool {
			if panics--; panics >= 0 {
				panic("handler")
			}
			return false
		}
		h.survive("all bytes", func() bool { return received(conns, "abc") })
	}},
	{name: "a panic in Writable loses no event", run: func(h *host) {
		conns := ready(h, 8)
		for _, c := range conns {
			c.set(driver.Read | driver.Write)
		}
		panics := 3
		h.onWritable = func(*conn) {
			if panics--; panics >= 0 {
				panic("handler")
			}
		}
		h.survive("all bytes and Writable", func() bool {
			for _, c := range conns {
				if c.writable == 0 {
					return false
				}
			}
			return received(conns, "abc")
		})
	}},
	{name: "a panic in Accepted loses no connection", run: func(h *host) {
		for range 4 {
			h.peer()
		}
		panics := 2
		h.onAccepted = func(*conn) bool {
			if panics--; panics >= 0 {
				panic("handler")
			}
			return true
		}
		h.survive("connections", func() bool { return len(h.order) == 4 })
	}},
}

// ready returns n connections that are registered for reading. "abc" was sent to each.
func ready(h *host, n int) (conns []*conn) {
	h.t.Helper()
	for range n {
		c, p := h.pair(0)
		h.noErr(p.Send([]byte("abc")))
		conns = append(conns, c)
	}
	for _, c := range conns {
		c.set(driver.Read)
	}
	return conns
}

func received(conns []*conn, want string) bool {
	for _, c := range conns {
		if string(c.got) != want {
			return false
		}
	}
	return true
}

// survive is until for a Sink that panics with "handler".
func (h *host) survive(what string, cond func() bool) {
	h.t.Helper()
	for done := false; !done; {
		func() {
			defer func() {
				if v := recover(); v != nil && v != "handler" {
					panic(v)
				}
			}()
			h.until(what, cond)
			done = true
		}()
	}
}
