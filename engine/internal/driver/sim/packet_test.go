package sim_test

import (
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestPacketFaults checks that datagrams are lost, doubled and reordered as configured, and never
// changed.
func TestPacketFaults(t *testing.T) {
	for _, c := range []struct {
		name                  string
		faults                sim.Faults
		fewer, more, disorder bool
	}{
		{name: "benign"},
		{name: "lose", faults: sim.Faults{Lose: 0.3}, fewer: true},
		{name: "double", faults: sim.Faults{Double: 0.3}, more: true},
		{name: "disorder", faults: sim.Faults{Disorder: 0.3}, disorder: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sim.New(sim.Config{Seed: 1, Faults: c.faults})
			d := open(n)
			fd, err := n.ListenPacket("udp", "127.0.0.1:0", driver.PacketOptions{})
			if err != nil {
				t.Fatal(err)
			}
			const sent = 100
			from := netip.MustParseAddrPort("192.0.2.1:1")
			for i := range sent {
				n.SendPacket(sim.Packet{From: from, To: n.Addr(fd), Data: []byte{byte(i)}})
			}
			var got []byte
			for {
				batch, err := d.Receive(fd)
				if err != nil {
					break
				}
				for _, g := range batch {
					if g.Peer.AddrPort != from || len(g.Data) != 1 {
						t.Fatalf("%v from %v", g.Data, g.Peer)
					}
					got = append(got, g.Data[0])
				}
			}
			inOrder := true
			for i := range got {
				inOrder = inOrder && (i == 0 || got[i] >= got[i-1])
			}
			if len(got) < sent != c.fewer || len(got) > sent != c.more || inOrder == c.disorder {
				t.Errorf("%d of %d arrived, in order: %v", len(got), sent, inOrder)
			}
		})
	}
}
