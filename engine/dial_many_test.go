package engine_test

import (
	"context"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// unreachable is a network where every connect(2) fails at once.
type unreachable struct {
	*sim.Network
	tried int
}

func (n *unreachable) Connect(string, string, netip.AddrPort) (int, error) {
	n.tried++
	return -1, syscall.ENETUNREACH
}

// TestDialOfManyAddressesThatFailAtOnce: all were tried in one call. A name may have 4,000 of them,
// and each takes 15 us and more.
func TestDialOfManyAddressesThatFailAtOnce(t *testing.T) {
	const addresses = 4000
	n := &unreachable{Network: sim.New(sim.Config{Seed: 1})}
	eng, err := engine.NewOn(n, engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	config := engine.DialConfig{Timeout: time.Hour,
		LookupNetIP: func(context.Context, string, string) (all []netip.Addr, err error) {
			for i := range addresses {
				all = append(all, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
			}
			return all, nil
		}}
	var told error
	err = eng.Dial(t.Context(), "tcp", "example.com:80", config, func(_ *engine.Conn, err error) engine.Protocol {
		told = err
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); told == nil; runtime.Gosched() {
		before := n.tried
		eng.Step()
		if tried := n.tried - before; tried > 16 {
			t.Fatalf("%d attempts in a turn", tried)
		}
		if time.Now().After(end) {
			t.Fatalf("%d addresses were tried", n.tried)
		}
	}
	if n.tried != addresses {
		t.Errorf("%d addresses were tried: %v", n.tried, told)
	}
	eng.BeginClose()
	for eng.Step() {
	}
}
