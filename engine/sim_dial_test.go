package engine_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSimulatedDial: in a network with faults, each Dial ends in exactly one call of done, and what
// is open then is a working connection.
func TestSimulatedDial(t *testing.T) { simulate(t, seeds(t), dials) }

func dials(tr *trial) error {
	faults := sim.DrawFaults(tr.seed)
	faults.BlackHole = 0 // of which only time tells
	network := tr.network(sim.Config{Faults: faults})
	var peers []*sim.Peer
	unsent := map[*sim.Peer][]byte{}
	network.Remote(func(p *sim.Peer) bool {
		if p.Local().Port()%3 == 0 {
			return false
		}
		peers = append(peers, p)
		return true
	})
	eng, err := engine.NewOn(network, engine.Config{Loops: 2})
	if err != nil {
		return err
	}
	const dials = 12
	told, dialled, ended := [dials]int{}, 0, 0
	var failed error
	for i := range dials {
		if !tr.comes(i) {
			told[i] = 1
			continue
		}
		dialled++
		port := 1000 + i
		eng.Dial(context.Background(), "tcp", fmt.Sprintf("192.0.2.7:%d", port), engine.DialConfig{},
			func(c *engine.Conn, err error) engine.Protocol {
				told[i]++
				if port%3 == 0 && !errors.Is(err, syscall.ECONNREFUSED) && faults.NoMemory == 0 {
					failed = fmt.Errorf("%v instead of a refusal", err)
				}
				if err != nil {
					ended++
					return nil
				}
				c.Write([]byte("hello"))
				return &caller{c: c, want: 5, done: func([]byte, error) { ended++ }}
			})
	}
	for turn := 0; ended < dialled; turn++ {
		if turn == 2000 {
			network.SetFaults(sim.Faults{})
		}
		if turn > 20_000 {
			return fmt.Errorf("%d of %d ended", ended, dialled)
		}
		eng.Step()
		for _, p := range peers {
			unsent[p] = append(unsent[p], p.Recv(10)...)
			unsent[p] = unsent[p][p.Send(unsent[p]):]
			if p.EOF() || p.Err() != nil {
				p.Close()
			}
		}
		if err := errors.Join(failed, eng.Check(), network.Check()); err != nil {
			return err
		}
	}
	eng.BeginShutdown()
	for eng.Step() {
	}
	for i, n := range told {
		if n != 1 {
			return fmt.Errorf("done of dial %d was called %d times", i, n)
		}
	}
	if n := network.Descriptors(); n != 0 {
		return fmt.Errorf("%d descriptors left", n)
	}
	return nil
}
