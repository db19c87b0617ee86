package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// Platform is the system's backend.
var Platform driver.Backend = platform

// NewOn makes an engine on another backend, whose loops Step turns instead of goroutines.
func NewOn(b driver.Backend, c Config) (*Engine, error) {
	e, err := newEngine(c, b)
	if err == nil {
		e.running = true
	}
	return e, err
}

// HasTasks reports whether tasks wait for a loop. That must be in a turn, in a function that has
// told the caller so and waits.
func (e *Engine) HasTasks(loop int) bool { return !e.loops[loop].tasks.queue.Empty() }

// Step turns every loop once and reports whether any is left.
func (e *Engine) Step() (live bool) {
	for _, l := range e.loops {
		if l.ended {
			continue
		}
		if l.once() {
			l.callback.inTurn.Store(true)
			l.shut()
			continue
		}
		live = true
	}
	return live
}

// Pending returns how many loops have something to do that no event tells of: they must not wait
// for one in their next turn.
func (e *Engine) Pending() (n int) {
	for _, l := range e.loops {
		if !l.ended && (l.tasks.unfinished != nil || len(l.untold) > 0 || !l.dirty.isEmpty() ||
			l.memory.relieving.Load() || l.packetsPending() || l.stopping &&
			(l.empty() || len(l.dials) > 0 || l.accepting.any())) {
			n++
		}
	}
	return n
}

// Live returns how many loops have not ended.
func (e *Engine) Live() (n int) {
	for _, l := range e.loops {
		if !l.ended {
			n++
		}
	}
	return n
}

// StepApart is Step on a goroutine for each turn, which user code may end by runtime.Goexit. Then
// the turn goes on with its next step on another goroutine, as by run. Sometimes another goroutine
// is faster than a loop that has seen that it is empty: late is what it does, before the loop ends.
func (e *Engine) StepApart(late func()) (live bool) {
	for _, l := range e.loops {
		if l.ended {
			continue
		}
		ends := l.stopping // then a connection on its way keeps the loop from its last step
		if ends {
			l.load.Add(1)
		}
		done := l.apart()
		if ends {
			if l.load.Add(-1); !done && l.empty() {
				late()
				l.step = atEnd
				done = l.apart()
			}
		}
		if done {
			l.callback.inTurn.Store(true)
			l.shut()
			continue
		}
		live = true
	}
	return live
}

// apart is a turn on goroutines of its own.
func (l *loop) apart() (done bool) {
	for exits := 0; ; exits++ {
		exited, turned := true, make(chan struct{})
		go func() {
			defer close(turned)
			done = l.once()
			exited = false
		}()
		<-turned
		if !exited {
			return done
		}
		if exits > int(lastStep) && !l.leaving {
			panic("the turn does not end: runtime.Goexit begins a step again")
		}
	}
}

// AdoptFD is Adopt of a descriptor that no loop has.
func (e *Engine) AdoptFD(loop, fd int, place *Place, early []byte, accept func(*Conn) Protocol) error {
	ln := newListener("tcp", ListenConfig{}, accept)
	ln.place = place
	return e.loops[loop].pushAdopt(fd, ln, early, layer.Kept{})
}

// Counted returns how many connections the listener counts.
func (ln *Listener) Counted() int { return ln.quota.Used() }

// Cut returns how many connections were cut.
func (e *Engine) Cut() int { return int(e.cut.Load()) }

// What a listener accepts in a turn, and at shutdown.
const (
	AcceptTurn  = acceptTurn
	LastAccepts = lastAccepts
)

// WasCut tells how many connections were cut.
func (e *Engine) WasCut() error { return e.cutError() }

// InTurn calls f in a turn of the loop, as if it had been posted, between two calls of Step.
func (e *Engine) InTurn(loop int, f func()) {
	l := e.loops[loop]
	l.callback.inTurn.Store(true)
	defer l.callback.inTurn.Store(false)
	l.enter(nil)
	f()
	l.exit()
}

// ReportFIN tells c's loop of the peer's FIN, as a Poller does.
func ReportFIN(c *Conn) {
	l := c.loop
	l.callback.inTurn.Store(true)
	defer l.callback.inTurn.Store(false)
	(*sink)(l).ReadClosed(c.token())
}

// ReportWritable tells c's loop that it can write, as a Poller does.
func ReportWritable(c *Conn) {
	l := c.loop
	l.callback.inTurn.Store(true)
	defer l.callback.inTurn.Store(false)
	(*sink)(l).Writable(c.token())
}

// Watch starts the watchdog of an engine that Step turns, and returns what its timer calls, nil
// if it is switched off.
func (e *Engine) Watch() (look func()) {
	e.startWatchdog()
	if e.watchdog.timer == nil {
		return nil
	}
	for _, l := range e.loops {
		l.watched.goroutine.Store(goroutineNumber())
	}
	return e.watchdog.look
}

// Watching reports whether the watchdog's timer runs.
func (e *Engine) Watching() bool { return !e.watchdog.resting.Load() }

// once is a turn. If a panic has interrupted it, it goes on with its next step, as by run. Only the
// last step is repeated.
func (l *loop) once() (done bool) {
	l.callback.inTurn.Store(true)
	defer l.callback.inTurn.Store(false)
	for panics := 0; !l.whole(&done); panics++ {
		if panics > int(lastStep) && !l.leaving {
			panic("the turn does not end: a panic begins a step again")
		}
	}
	return done
}

// atEnd is between the two looks of lastStep: l was empty, and ends.
const atEnd = lastStep + 1

func (l *loop) whole(done *bool) (whole bool) {
	defer l.caught()
	if l.step == atEnd {
		l.step = lastStep
		l.last()
		*done = true
		return true
	}
	*done = l.turn()
	return true
}

// BeginShutdown is Shutdown without waiting.
func (e *Engine) BeginShutdown() { e.stop((*loop).stopOrderly) }

// EndLoop makes one loop shut down, without the others.
func (e *Engine) EndLoop(loop int) {
	l := e.loops[loop]
	l.do(l.stopOrderly)
}

// Failed is the error that a driver ended a loop with.
func (e *Engine) Failed() error {
	var all error
	for _, l := range e.loops {
		all = errors.Join(all, l.driverErr)
	}
	return all
}

// Check tests what must hold between two turns. When no connection is left, nothing of one may be
// left either.
func (e *Engine) Check() error {
	for _, l := range e.loops {
		if err := l.check(); err != nil {
			return fmt.Errorf("loop %d: %w", l.index, err)
		}
	}
	return nil
}

func (l *loop) check() error {
	if l.leaving && !l.ended {
		return errors.New("its last step has begun, and it goes on")
	}
	if l.callback.active || l.callback.conn != nil || l.callback.feeding != nil {
		return errors.New("a call is still under way")
	}
	chunks, bytes, timers, lag, looks, begun := 0, 0, 0, 0, 0, uint64(0)
	held := sessionCost * l.stats.Sessions
	for p := range l.packets.conns.All() {
		held += p.queueCost()
	}
	for c := range l.conns.All() {
		if err := c.check(); err != nil {
			return fmt.Errorf("connection %d: %w", c.slot, err)
		}
		if c.in != nil {
			chunks++
			bytes += buffer.ChunkCost + c.in.Cap()
		}
		chunks += c.out.Chunks()
		bytes += c.out.Size()
		if h, ok := c.proto.(Holder); ok {
			held += h.Held()
		}
		if c.flags&proxied != 0 {
			held += len(l.headers.of(c))
		}
		if c.flags&layered != 0 {
			held += l.layers.all.At(c.slot).stream.Held()
		}
		if c.times.timer != 0 {
			timers++
		}
		if c.flags&lagging != 0 {
			lag++
		}
		if c.flags&looked != 0 {
			looks++
		}
		if c.flags&connecting != 0 {
			begun++
		}
	}
	begun += l.stats.Accepted + l.stats.Dialed + l.stats.Closed[CauseDial]
	for _, n := range l.stats.Closed {
		begun -= n
	}
	if begun != uint64(l.conns.Len()) {
		return fmt.Errorf("the counters say %d connections, there are %d", begun, l.conns.Len())
	}
	if n := l.memory.pool.Out() - l.memory.pool.Abandoned(); n != chunks {
		return fmt.Errorf("%d chunks are out, connections have %d", n, chunks)
	}
	if n := len(l.grace); n != lag {
		return fmt.Errorf("%d connections have a time of grace, %d think so", n, lag)
	}
	if n := len(l.looks); n != looks {
		return fmt.Errorf("%d connections were looked at, %d think so", n, looks)
	}
	if n := l.memory.pool.Bytes(); n != bytes {
		return fmt.Errorf("chunks of %d bytes are out, connections have %d", n, bytes)
	}
	if n := l.memory.held; n != held {
		return fmt.Errorf("%d bytes are held, the loop knows of %d", held, n)
	}
	if chunks == 0 && l.memory.pool.Abandoned() == 0 && l.memory.pool.Shared() != 0 {
		return fmt.Errorf("%d bytes are shared by nobody", l.memory.pool.Shared())
	}
	// More may be posted at any time.
	if n := l.memory.bytes(); !l.ended && n > l.memory.published {
		return fmt.Errorf("%d bytes are held, the engine knows of %d", n, l.memory.published)
	}
	posted := int(l.tasks.bytes.Load()) - l.tasks.ran // which a panic has kept from credit
	for t := range l.tasks.queue.All {
		posted -= t.cost
		n := taskCost + cap(t.buf) + cap(t.conns)*int(unsafe.Sizeof((*Conn)(nil)))
		if t.listener != nil {
			n += len(t.listener.unsent)
		}
		if t.layer != nil {
			n += len(t.layer.out)
		}
		if t.cost < n {
			return fmt.Errorf("a task of %d bytes counts as %d", n, t.cost)
		}
		if closure := t.post != nil || t.run != nil || t.each != nil; closure && t.cost < taskCost+closureCost {
			return fmt.Errorf("a task with a function counts as %d bytes", t.cost)
		}
	}
	waiting := slices.Clone(l.tasks.thawed)
	if l.departing != nil {
		waiting = append(waiting, l.departing.waits...)
	}
	for _, n := range append(waiting, l.tasks.unfinished) {
		if n != nil {
			posted -= n.Value.cost
		}
	}
	if posted != 0 {
		return fmt.Errorf("%d bytes are counted for no task", posted)
	}
	if n := l.wheel.Len(); n != timers+l.timers.Len() {
		return fmt.Errorf("%d timers in the wheel, %d of connections and %d others", n, timers, l.timers.Len())
	}
	return nil
}

func (c *Conn) check() error {
	switch {
	case c.state == closed:
		return errors.New("closed, and in the table")
	case c.state == ended && c.flags&(listed|ending) == 0:
		return errors.New("ended, and nobody will settle it")
	case c.flags&touched != 0 && c.flags&(listed|ending) == 0:
		return errors.New("touched, and not listed")
	case c.state < ended && c.flags&(blocked|listed) == 0 && c.out.Len() > 0:
		return fmt.Errorf("%d bytes wait for nothing", c.out.Len())
	case c.state < ended && c.flags&blocked != 0 && c.flags&(wantWrite|listed) == 0:
		return errors.New("blocked, and write interest is not armed")
	case c.state < ended && c.flags&(listed|connecting) == 0 && c.flags&(wantRead|wantWrite) != c.wanted():
		return fmt.Errorf("the driver knows of interest %b, not of %b", c.flags&(wantRead|wantWrite), c.wanted())
	case c.state < ended && c.times.deadline != 0 && c.times.timer == 0:
		return errors.New("a deadline without a timer")
	case c.state == closing && c.times.timer == 0:
		return errors.New("closing without a deadline")
	case c.state == closing && c.in != nil:
		return errors.New("keeps input that nobody will be fed")
	}
	return nil
}

// Buffered is the size of all buffers that connections hold.
func (e *Engine) Buffered() int { return int(e.buffered.Load()) }

// Memory returns what the loops hold for their peers, as of now.
func (e *Engine) Memory() (n int) {
	for _, l := range e.loops {
		n += l.memory.bytes()
	}
	return n
}

// Slack returns how much more a loop may hold before its turn ends.
func (e *Engine) Slack() int { return e.loops[0].memory.slack }

// OverShare reports whether the loop has published more than an equal part of Config.MaxBuffered.
func (e *Engine) OverShare(loop int) bool { return e.loops[loop].overShare() }

// Conns returns the connections of a loop.
func (e *Engine) Conns(loop int) (all []*Conn) {
	for c := range e.loops[loop].conns.All() {
		all = append(all, c)
	}
	return all
}

// Share returns a connection's share of a turn, in bytes and messages.
func (e *Engine) Share() (bytes, messages int) { return e.config.TurnBytes, e.config.TurnMessages }

// IsCalling reports whether a call of user code for c is in progress, and c is open.
func IsCalling(c *Conn) bool { return c.loop.callback.conn == c && c.state == open }

// IsOpen reports whether c is open.
func IsOpen(c *Conn) bool { return c.state == open }

// IsStopping reports whether the loop of c has heard of the engine's end. That is a task, behind
// others.
func IsStopping(c *Conn) bool { return c.loop.stopping }

// KeepsReading reports whether c is in the middle of something large, and has two shares of a turn.
func KeepsReading(c *Conn) bool { return c.keepsReading() }

// StatsNow is Stats of an engine that Step turns.
func (e *Engine) StatsNow() Stats { return sum(e.snapshots()) }

// Left says what a loop that has no connection any more has kept of them. Call it on the loop.
func (e *Engine) Left(loop int) error {
	l := e.loops[loop]
	if a, b, c, d := l.conns.Len(), l.memory.pool.Out(), l.timers.Len(), l.wheel.Len(); a+b+c+d > 0 {
		return fmt.Errorf("loop %d has %d connections, %d chunks, %d timers, %d of them in the wheel", loop, a, b, c, d)
	}
	return nil
}

// BeginClose is Close without waiting.
func (e *Engine) BeginClose() { e.cutAll(ErrClosed) }

// FD is the connection's descriptor.
func (c *Conn) FD() int { return int(c.fd) }

// BlockPackets makes p behave as if the kernel took no more.
func BlockPackets(p *PacketConn) { p.blocked = true }

// Waiting returns how many connections of ln wait for their PROXY header.
func Waiting(ln *Listener) int { return int(ln.proxy.waiting.Load()) }

// Counted returns how many connections of ln its limits count.
func Counted(ln *Listener) int { return ln.quota.Used() }

// EventWork is what a write counts.
const EventWork = eventWork

// Wrote returns how many bytes the loop of c has written.
func Wrote(c *Conn) uint64 { return c.loop.stats.BytesWritten }

// Writes returns how many writes the loop of c has made.
func Writes(c *Conn) uint64 { return c.loop.stats.Writes }

// TakesLong reports whether the turn of c's loop takes long already: see loop.mustWait.
func TakesLong(c *Conn) bool { return c.loop.reading.long }

// TakeLong makes it so, as deliverTime does.
func TakeLong(c *Conn) { c.loop.reading.long = true }

// Turns returns how many turns a loop has begun, on that loop.
func Turns(e *Engine, loop int) uint64 { return e.loops[loop].stats.Turns }

// Seconds is a duration as an option of a socket has it.
func Seconds(d time.Duration) int { return seconds(d) }

// StateVersion is what a Handover with this Version says.
func StateVersion(version uint16) uint32 { return (&Handover{Version: version}).stateVersion() }

// ChunksOut returns how many chunks the loop of c has given out and not got back.
func ChunksOut(c *Conn) int { return c.loop.memory.pool.Out() }

// BytesHeld returns what the loop of c holds for its peers.
func BytesHeld(c *Conn) int { return c.loop.memory.bytes() }
