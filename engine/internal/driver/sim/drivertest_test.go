package sim_test

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/drivertest"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestContract(t *testing.T) {
	for seed := range uint64(5) {
		backend := func(t *testing.T) driver.Backend {
			n := sim.New(sim.Config{Seed: seed})
			t.Cleanup(func() {
				if err := n.Check(); err != nil {
					t.Error(err)
				}
				if open := n.Descriptors(); open != 0 {
					t.Errorf("%d descriptors left open", open)
				}
			})
			return n
		}
		drivertest.Run(t, backend, dial)
	}
}

func dial(t *testing.T, b driver.Backend, _, address string) drivertest.Peer {
	t.Helper()
	p := b.(*sim.Network).Dial(netip.MustParseAddrPort(address))
	if err := p.Err(); err != nil {
		t.Fatal("dial:", err)
	}
	return peer{p}
}

// peer is a sim.Peer in the contract's terms.
type peer struct{ p *sim.Peer }

var errNothing = errors.New("nothing there, and nothing will come")

func (p peer) Send(b []byte) error {
	if p.p.Send(b) < len(b) {
		return errNothing
	}
	return nil
}

func (p peer) Recv(b []byte) (int, error) {
	if n := copy(b, p.p.Recv(len(b))); n > 0 {
		return n, nil
	}
	if p.p.EOF() {
		return 0, io.EOF
	}
	if err := p.p.Err(); err != nil {
		return 0, err
	}
	return 0, errNothing
}

func (p peer) CloseWrite() error    { p.p.CloseWrite(); return nil }
func (p peer) Close() error         { p.p.Close(); return nil }
func (p peer) Reset() error         { p.p.Reset(); return nil }
func (p peer) Addr() netip.AddrPort { return p.p.Local() }
