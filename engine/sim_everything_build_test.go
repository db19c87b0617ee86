package engine_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// build makes the network, the engine and its sockets.
func (w *world) build() (err error) {
	rng, faults := w.rng, sim.DrawFaults(w.tr.seed)
	if one(rng, 3) {
		faults = faults.Lossless()
	}
	descriptors := 0
	if one(rng, 6) {
		descriptors = 4 + rng.IntN(12)
	}
	w.net = w.tr.network(sim.Config{Faults: faults, Descriptors: descriptors, Completion: w.tr.seed%4 == 1})
	w.net.Remote(w.remote)
	// A limit that is small ends connections: most are off in most seeds, so that there is
	// something to limit.
	c := engine.Config{
		Loops: 1 + rng.IntN(3), HighWater: upTo(rng, 16), MaxBuffered: -1, TurnBytes: upTo(rng, 14), WriteTimeout: -1,
		SlowGrace: time.Duration(upTo(rng, 10)) * time.Millisecond,
		Linger:    time.Duration(upTo(rng, 11)) * time.Millisecond,
		Logger:    slog.New(slog.DiscardHandler),
	}
	if one(rng, 2) {
		c.TurnMessages = upTo(rng, 4)
	}
	if one(rng, 2) {
		c.LowWater = rng.IntN(c.HighWater)
	}
	if w.low = c.LowWater; w.low <= 0 {
		w.low = c.HighWater / 4
	}
	if one(rng, 10) {
		c = engine.Config{Loops: c.Loops, Logger: c.Logger}
		w.low = 16 << 10
	}
	if one(rng, 3) {
		c.Observer = w.observer()
	}
	if one(rng, 3) {
		c.MaxOutbound = max(1<<(8+rng.IntN(10)), c.HighWater)
	}
	if c.HighWater == 0 && c.MaxOutbound > 0 {
		w.low = min(64<<10, c.MaxOutbound) / 4
	}
	if one(rng, 3) {
		c.MaxInbound = 1 << (4 + rng.IntN(10))
	}
	if one(rng, 3) {
		c.MaxBuffered = 1 << (11 + rng.IntN(8))
	}
	if one(rng, 3) {
		c.MaxPosted = upTo(rng, 12)
	}
	if one(rng, 3) {
		c.WriteTimeout = time.Duration(upTo(rng, 12)) * time.Millisecond
	}
	if one(rng, 4) {
		c.MaxConnections = 1 + rng.IntN(12)
	}
	if w.eng, err = engine.NewOn(w.net, c); err != nil {
		return err
	}
	if w.most = 12; one(rng, 40) { // more on a loop than may hold a cork at a time
		if err = w.serve(engine.ListenConfig{}, "127.0.0.1:0"); err != nil {
			return nil
		}
		for w.most = 100; len(w.visitors) < 150*c.Loops; {
			w.arrive(rng, rng.Uint64())
		}
		for range 30 {
			if _, err := w.turn(); err != nil {
				return err
			}
			if w.eng.StatsNow().Loops[0].Connections > 75 {
				w.eng.Post(0, func() { w.shout(rng, 0) })
				break
			}
		}
	}
	for range 1 + rng.IntN(2) {
		w.listen(rng)
	}
	// unknown; and unknown to the network, where it is not a path either
	for _, network := range []string{"sctp", "unix"} {
		if _, err := w.eng.Listen(network, "", w.accept); err == nil {
			return fmt.Errorf("Listen knows %q", network)
		}
	}
	return nil
}

// listen opens a listener; without a descriptor there is none.
func (w *world) listen(rng *rand.Rand) {
	lc := engine.ListenConfig{}
	if one(rng, 3) {
		lc.Backlog = 1 + rng.IntN(4)
	}
	if one(rng, 4) {
		lc.MaxConnections = 1 + rng.IntN(8)
	}
	if one(rng, 4) {
		lc.MaxPerAddress = 1 + rng.IntN(8)
	}
	if one(rng, 4) {
		lc.AcceptRate = 1 + rng.IntN(1000)
	}
	lc.PlaceByAddress = one(rng, 4)
	lc.PerLoop = !lc.PlaceByAddress && one(rng, 3)
	address := []string{"127.0.0.1:0", "[::1]:0"}[rng.IntN(2)]
	w.serve(lc, address)
}

func (w *world) serve(lc engine.ListenConfig, address string) error {
	ln, err := lc.Listen(w.eng, "tcp", address, w.accept)
	if err == nil {
		w.listeners = append(w.listeners, ln)
	}
	return err
}
