package gnet

import (
	"context"
	"sync"

	"github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/myriadnet/myriad/engine"
)

// Run serves addr by h until the engine ends: by the Action Shutdown, or by Engine.Stop. addr is
// like tcp://127.0.0.1:9000, udp://:9000 or unix:///run/socket; the networks are tcp, tcp4, tcp6,
// udp, udp4, udp6 and unix. Run returns nil if all connections ended in order, and otherwise the
// error of Engine.Run of package engine.
func Run(h EventHandler, addr string, opts ...Option) error {
	return RunConfig(engine.Config{}, h, []string{addr}, opts...)
}

// Rotate is Run for several addresses.
func Rotate(h EventHandler, addrs []string, opts ...Option) error {
	return RunConfig(engine.Config{}, h, addrs, opts...)
}

// RunConfig is Rotate on an engine with the configuration c, for limits and timeouts that gnet has
// no option for. Options that are set replace fields of c.
func RunConfig(c engine.Config, h EventHandler, addrs []string, opts ...Option) error {
	r, err := newRunner(c, h, opts)
	if err != nil {
		return err
	}
	defer r.closeCopies()
	booted := false
	defer func() {
		if !booted { // also if OnBoot panics
			r.engine.Close()
			close(r.done)
		}
	}()
	for _, addr := range addrs {
		if err := r.listen(addr); err != nil {
			return err
		}
	}
	if h.OnBoot(Engine{r}) == Shutdown {
		return r.engine.Close()
	}
	booted = true
	for _, addr := range addrs {
		running.Store(addr, r)
		defer running.CompareAndDelete(addr, r)
	}
	return r.run()
}

// running has the runner of each address, for Stop.
var running sync.Map

// Stop stops the engine that was last run with addr.
//
// Deprecated: Use Engine.Stop.
func Stop(ctx context.Context, addr string) error {
	r, ok := running.Load(addr)
	if !ok {
		return errors.ErrEngineInShutdown
	}
	return Engine{r.(*runner)}.Stop(ctx)
}
