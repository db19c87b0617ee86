package drivertest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

var wakeCases = []testCase{
	{name: "timeouts", run: func(h *host) {
		h.check(h.poll(0) == 0, "an event out of nothing")
		const µs = time.Microsecond
		for _, timeout := range []time.Duration{200 * µs, 1500 * µs, 20_000 * µs} {
			waited := false
			for range 10 { // a signal may cut one short
				start := h.poller.Now()
				h.check(h.poll(timeout) == 0, "an event out of nothing")
				waited = waited || h.poller.Now()-start >= timeout
			}
			h.check(waited, "Poll never waited %v", timeout)
		}
	}},
	{name: "the clock", run: func(h *host) {
		last := h.poller.Now()
		h.check(last >= 0 && last < time.Minute, "starts at %v", last)
		for range 100 {
			now := h.poller.Now()
			h.check(now >= last, "went back from %v to %v", last, now)
			last = now
		}
	}},
	{name: "wakes coalesce", run: func(h *host) {
		for range 1000 {
			h.poller.Wake()
		}
		h.blocking(func() { h.check(h.poll(-1) == 1, "more than one event for many wakes") })
		h.quiet("woken once")
	}},
	{name: "a wake is counted once", run: func(h *host) {
		h.poller.Wake()
		if h.poll(0) == 0 { // this Poll may see it; otherwise the next one that waits must return
			h.blocking(func() { h.check(h.poll(-1) == 1, "not woken") })
		}
		h.quiet("woken once")
	}},
	{name: "a wake during delivery", run: func(h *host) {
		c := ready(h, 1)[0]
		h.onReceived = func(*conn) bool { h.poller.Wake(); return false }
		h.until("bytes", func() bool { return len(c.got) == 3 })
		h.blocking(func() { h.check(h.poll(-1) == 1, "not woken") })
	}},
	{name: "a wake before a panic", run: func(h *host) {
		ready(h, 4)
		panics := 0
		h.onReceived = func(*conn) bool {
			h.poller.Wake()
			panics++
			panic("handler")
		}
		h.survive("panics", func() bool { return panics == 4 })
		h.onReceived = nil
		h.blocking(func() { h.check(h.poll(-1) > 0, "not woken") })
	}},
	{name: "a wake ends a Poll that waits", run: func(h *host) {
		for range 50 {
			var woken atomic.Bool
			p := h.poller
			go func() {
				runtime.Gosched()
				woken.Store(true)
				p.Wake()
			}()
			h.blocking(func() {
				for !woken.Load() { // the simulator's Poll does not wait
					h.poll(-1)
					runtime.Gosched()
				}
			})
			h.until("end of wakes", func() bool { return h.poll(0) == 0 })
		}
	}},
	{name: "no wake is lost", run: func(h *host) {
		const wakers, rounds = 4, 500
		var posted atomic.Int64
		var wg sync.WaitGroup
		p := h.poller
		for range wakers {
			wg.Go(func() {
				for range rounds {
					posted.Add(1)
					p.Wake()
				}
			})
		}
		h.blocking(func() {
			for posted.Load() < wakers*rounds {
				h.poll(-1)
				runtime.Gosched()
			}
		})
		wg.Wait()
	}},
	{name: "ping-pong by wakes", run: func(h *host) {
		// Every wake is answered before the next one: a lost wake stops the game.
		var ping, pong atomic.Int64
		stop := make(chan struct{})
		ended := make(chan struct{})
		p := h.poller
		go func() {
			defer close(ended)
			for i := int64(1); i <= 2000; i++ {
				ping.Store(i)
				p.Wake()
				for pong.Load() < i {
					select {
					case <-stop:
						return
					default:
						runtime.Gosched()
					}
				}
			}
		}()
		defer func() { close(stop); <-ended }()
		h.blocking(func() {
			for pong.Load() < 2000 {
				h.poll(-1)
				pong.Store(ping.Load())
				runtime.Gosched()
			}
		})
	}},
	{name: "wakes do not disturb events", run: func(h *host) {
		c, p := h.pair(driver.Read)
		h.poller.Wake()
		h.noErr(p.Send([]byte("abc")))
		h.poller.Wake()
		h.until("bytes", func() bool { return string(c.got) == "abc" })
	}},
	{name: "wake after Shut", run: func(h *host) {
		p := h.poller
		var wg sync.WaitGroup
		begun := make(chan struct{}, 4)
		for range 4 {
			wg.Go(func() {
				begun <- struct{}{}
				for range 1000 {
					p.Wake()
				}
			})
		}
		<-begun
		h.shut()
		// The descriptors that Shut freed have new owners now. No wake may reach them.
		next := newHost(h.t, h.b, h.dial, "tcp")
		c, peer := next.pair(driver.Read)
		wg.Wait()
		p.Wake()
		next.quiet("a driver that is shut was woken")
		next.noErr(peer.Send([]byte("abc")))
		next.until("bytes", func() bool { return string(c.got) == "abc" })
		next.shut()
	}},
}

// blocking runs f, which may wait for ever. If it does, blocking ends the process: nothing else
// ends a system call.
func (h *host) blocking(f func()) {
	name := h.t.Name()
	timer := time.AfterFunc(patience, func() { panic(name + ": Poll was not woken") })
	defer timer.Stop()
	f()
}
