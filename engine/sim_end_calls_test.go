package engine_test

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// call is what user code does in a call: nothing, ask for more, let a peer come, or not return.
func (w *ending) call() {
	if w.quiet {
		return
	}
	what := w.rng.IntN(16)
	if what >= 3 && what <= 7 {
		w.panics++
	}
	switch what {
	case 0, 1:
		w.ask()
	case 2:
		w.peers = append(w.peers, w.net.Dial(w.ln.Addr()))
	case 3, 4:
		panic("boom")
	case 5:
		panic(&endingError{w: w})
	case 6:
		panic((*engine.PanicError)(nil))
	case 7:
		runtime.Goexit()
	}
}

func (w *ending) observer() engine.Observer {
	return engine.Observer{
		Opened: func(*engine.Conn) { w.call() },
		Closed: func(*engine.Conn, error) { w.call() },
		Worked: func(int, time.Duration) {
			if w.rng.IntN(3) == 0 {
				w.call()
			}
		},
	}
}

// endingError has methods that do what user code does.
type endingError struct {
	w    *ending
	told bool
}

func (e *endingError) Error() string { return "wild" }

func (e *endingError) Unwrap() error {
	if !e.told {
		e.w.call()
	}
	return nil
}

// arrive lets peers come, and those that are there do something.
func (w *ending) arrive() {
	if w.turn > w.last-4 && w.turn < w.last+4 {
		for range w.storm {
			w.peers = append(w.peers, w.net.Dial(w.ln.Addr()))
		}
	}
	if w.rng.IntN(3) == 0 {
		w.peers = append(w.peers, w.net.Dial(w.ln.Addr()))
	}
	for range min(len(w.peers), 3) {
		switch p := w.peers[w.rng.IntN(len(w.peers))]; w.rng.IntN(10) {
		case 0:
			p.CloseWrite()
		case 1:
			p.Close()
		default:
			p.Send(make([]byte, upTo(w.rng, 8)))
			p.Recv(1 << 10)
		}
	}
}

// adopt hands a connection to a loop.
func (w *ending) adopt(a *accepted) {
	a.what = "adopt, not " + a.what
	fd, p := w.net.Pair()
	if fd < 0 {
		return
	}
	w.peers = append(w.peers, p)
	early := make([]byte, w.rng.IntN(20))
	var place *engine.Place
	if n := len(w.places); n > 0 && w.rng.IntN(2) == 0 {
		place, w.places = w.places[n-1], w.places[:n-1]
	}
	a.taken = w.eng.AdoptFD(w.rng.IntN(w.eng.Loops()), fd, place, early, func(c *engine.Conn) engine.Protocol {
		a.told++
		return w.serveEarly(c, len(early))
	}) == nil
	if !a.taken && place != nil {
		w.places = append(w.places, place)
	}
}

// handsOver is a network that gives a released connection to a goroutine.
type handsOver struct{ *sim.Network }

func (n handsOver) NetConn(fd int) (net.Conn, error) {
	n.CloseFd(fd)
	nc, other := net.Pipe()
	other.Close()
	return nc, nil
}

// guest is a Protocol that does anything. Its accept function may not return it.
type guest struct {
	w      *ending
	c      *engine.Conn
	end    *accepted // Closed; taken once the engine has the Protocol
	heeds  bool      // Shutdown ends it
	owed   int       // bytes that take must get at least
	closed bool
	last   bool // Recovered was called
}

// accept limits what a listener accepts in a turn: its share, twice if the loop looks at the kernel
// again before timers fire, and what is left in the backlog in the end.
func (w *ending) accept(c *engine.Conn) engine.Protocol {
	most := 2 * engine.AcceptTurn
	if w.ending {
		most += engine.LastAccepts
	}
	if n := w.net.Counts().Accepts - w.accepts; n > most {
		w.failed = fmt.Errorf("%d connections are accepted in a turn", n)
		return nil
	}
	if w.flood {
		w.peers = append(w.peers, w.net.Dial(w.ln.Addr()))
	}
	if n := w.net.Counts().Accepts - w.before; w.ending && n >= engine.LastAccepts {
		if n > engine.LastAccepts+2*engine.AcceptTurn {
			w.failed = fmt.Errorf("%d connections are accepted since the end was asked for", n)
		} else if w.quiet {
			w.panics++
			panic("the last one")
		}
	}
	return w.serve(c)
}

// late asks for more of a loop that has just seen that nothing is left, and ends.
func (w *ending) late() {
	for range w.rng.IntN(4) {
		w.ask()
	}
}

func (w *ending) serve(c *engine.Conn) engine.Protocol { return w.serveEarly(c, 0) }

func (w *ending) serveEarly(c *engine.Conn, early int) engine.Protocol {
	g := &guest{w: w, c: c, end: w.note("Closed of a connection"), owed: early, heeds: w.rng.IntN(2) == 0}
	w.guests = append(w.guests, g)
	w.orphans++ // until accept returns
	g.act()
	w.orphans--
	g.end.taken = true // from here on accept returns
	return g
}

// each calls a function for all connections of a loop. When what is posted behind that runs, it was
// called for each that is open still, whatever it did for the others.
func (w *ending) each() {
	loop, told := w.rng.IntN(w.eng.Loops()), map[*engine.Conn]int{}
	var all []engine.Handle
	var guests []*guest
	for _, g := range w.guests {
		if !g.closed && g.end.taken && g.c.Loop() == loop {
			all, guests = append(all, g.c.Handle()), append(guests, g)
		}
	}
	if engine.Each(slices.Values(all), func(c *engine.Conn) {
		told[c]++
		w.call()
	}) != nil || w.rng.IntN(2) == 0 { // then nothing else keeps the loop awake until it is done
		return
	}
	a := w.note("post behind Each")
	a.taken = w.eng.Post(loop, func() {
		a.told++
		for _, g := range guests {
			if n := told[g.c]; n > 1 || n == 0 && !g.c.Handle().Closed() {
				w.failed = fmt.Errorf("the function of Each was called %d times for a connection", n)
			}
		}
	}) == nil
}

// abort posts a function that aborts connections of a loop, in a call that is none of theirs. A
// connection that has ended, and was not settled since, is not cut.
func (w *ending) abort() {
	loop := w.rng.IntN(w.eng.Loops())
	w.eng.Post(loop, func() {
		for _, g := range w.guests {
			if g.end.taken && !g.closed && g.c.Loop() == loop && w.rng.IntN(4) == 0 {
				g.c.Abort()
			}
		}
	})
}

// act is a call for the connection.
func (g *guest) act() {
	w := g.w
	switch w.rng.IntN(12) {
	case 0:
		g.release()
	case 1:
		g.c.Close()
	case 2:
		g.c.Write(make([]byte, upTo(w.rng, 12)))
	case 3:
		g.c.AfterFunc(time.Duration(upTo(w.rng, 6))*time.Millisecond, w.call)
	}
	w.call()
}

func (g *guest) release() {
	a := g.w.note("Release")
	owed := &g.owed
	if place := g.c.KeepPlace(); place != nil {
		g.w.places = append(g.w.places, place)
	}
	a.taken = g.c.Release(func(nc net.Conn, unread, _ []byte, err error) {
		if a.told++; err != nil || len(unread) < *owed {
			g.w.failed = fmt.Errorf("%s: %d of %d bytes are unread, %v", a.what, len(unread), *owed, err)
		}
		nc.Close()
		g.w.call()
	}) == nil
}

func (g *guest) alive(what string) {
	if g.closed {
		g.w.failed = fmt.Errorf("%s after Closed", what)
	}
}

func (g *guest) Feed(b []byte) (int, error) {
	if g.last {
		g.w.failed = errors.New("Feed after Recovered")
	}
	if g.alive("Feed"); g.w.abrupt > 0 && g.w.turns() > 4 {
		g.w.failed = errors.New("Feed of a connection that should have been cut")
	}
	g.owed = len(b)
	g.act()
	if g.w.rng.IntN(20) == 0 {
		g.owed = 0
		return len(b), &endingError{w: g.w}
	}
	n := g.w.rng.IntN(len(b) + 1)
	g.owed -= n
	return n, nil
}

func (g *guest) ReadClosed() {
	g.alive("ReadClosed")
	g.c.CloseWith(engine.ErrPeerClosed)
	g.act()
}

func (g *guest) Recovered(reason *engine.PanicError) {
	if g.alive("Recovered"); reason == nil {
		g.w.failed = errors.New("Recovered without a reason")
	}
	g.last = true
	g.c.Write([]byte("last word"))
	g.w.call()
}

func (g *guest) Shutdown() {
	if g.alive("Shutdown"); !g.w.ending {
		g.w.failed = errors.New("Shutdown without reason")
	}
	if g.heeds {
		g.c.Close()
	}
	g.act()
}

func (g *guest) Closed(err error) {
	g.alive("Closed")
	g.closed = true
	g.end.told++
	if unsent, ok := err.(*engine.UnsentError); ok {
		err = unsent.Reason
	}
	if e, ok := err.(*endingError); ok {
		e.told = true
	}
	switch err.(type) {
	case *endingError, *engine.PanicError: // it was closing
		g.w.orphans++
	}
	switch err {
	case engine.ErrShutdown:
		g.w.cut++
	case engine.ErrPeerClosed:
		g.w.orphans++
	}
	g.w.call()
}
