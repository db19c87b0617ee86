package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// dialled is a call of Dial.
type dialled struct {
	number, told int
	cancel       func()
}

// dial dials out, with an end before it is due for some.
func (w *world) dial(rng *rand.Rand) {
	d := &dialled{number: len(w.dials)}
	ctx, cancel := context.WithCancel(w.ctx)
	d.cancel = cancel
	config := engine.DialConfig{}
	if one(rng, 3) { // no two at the same time, since they would race
		config.Timeout = time.Duration(rng.IntN(40))*time.Millisecond + time.Duration(d.number+1)*time.Microsecond
	}
	if one(rng, 3) {
		config.LocalAddr = netip.MustParseAddrPort("192.0.2.9:0")
	}
	early := one(rng, 8)
	if early {
		cancel()
	}
	address := fmt.Sprintf("192.0.2.7:%d", 1000+d.number)
	if one(rng, 10) {
		if err := w.eng.Dial(ctx, "tcp", "192.0.2.7", config, w.never); err == nil {
			w.failf("Dial needs no port")
		}
	}
	w.dials = append(w.dials, d)
	err := w.eng.Dial(ctx, "tcp", address, config, func(c *engine.Conn, err error) engine.Protocol {
		defer w.call("done of Dial")()
		if d.told++; (c == nil) == (err == nil) {
			w.failf("dial %d: %v, %v", d.number, c, err)
		}
		if c == nil {
			if early && !errors.Is(err, context.Canceled) && !errors.Is(err, engine.ErrShutdown) {
				w.failf("dial %d was cancelled before, and gives %w", d.number, err)
			}
			if d.number%4 == 3 && errors.Is(err, engine.ErrReset) && !errors.Is(err, syscall.ENOMEM) {
				w.failf("dial %d: %w instead of a refusal", d.number, err)
			}
			if one(rng, 10) {
				w.boom(rng)
			}
			return nil
		}
		w.dialled++
		return w.speak(c, c.LocalAddr().Port())
	})
	if err != nil {
		w.failf("dial %d: %w", d.number, err)
	}
	if err := w.eng.Dial(ctx, "sctp", address, config, w.never); err == nil {
		w.failf("Dial knows SCTP")
	}
}

// never is done of a Dial that has failed.
func (w *world) never(*engine.Conn, error) engine.Protocol {
	w.failf("done is called although Dial has failed")
	return nil
}

// remote is the remote end of a connection that Dial makes.
func (w *world) remote(p *sim.Peer) bool {
	if p.Local().Port()%4 == 3 {
		return false
	}
	v := w.visit(p, rand.New(rand.NewPCG(w.tr.seed, uint64(p.Local().Port()))))
	w.byPort[p.Remote().Port()] = v
	return true
}
