package socket

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// TestBadPeerLeavesOthersJoined: datagrams to a peer that cannot be sent to, such as one that has
// sent from port 0, made a loop send all datagrams one by one for ever.
func TestBadPeerLeavesOthersJoined(t *testing.T) {
	fd, err := Maker{}.ListenPacket("udp4", "127.0.0.1:0", driver.PacketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	arena := make([]byte, 1000)
	batch := func(to netip.AddrPort) (all []driver.Datagram) {
		for i := range 5 {
			all = append(all, driver.Datagram{Data: arena[100*i : 100*(i+1)], Peer: driver.Peer{AddrPort: to}})
		}
		return all
	}
	good, bad := local(fd), netip.MustParseAddrPort("127.0.0.1:0")
	var d datagrams
	joined := func() bool {
		n, err := d.Send(fd, false, batch(good))
		if n != 5 || err != nil {
			t.Fatalf("sent %d, %v", n, err)
		}
		return d.out.counts[0] == 5
	}
	if !joined() {
		t.Skip("no UDP_SEGMENT on this system")
	}
	all := append(batch(bad), batch(good)...)
	for refused := 0; len(all) > 0; refused++ {
		n, err := d.Send(fd, false, all)
		if err == nil && n == 5 && refused == 5 {
			break
		}
		if n != 0 || err == nil || refused == 5 {
			t.Fatalf("call %d: sent %d, %v", refused, n, err)
		}
		all = all[1:] // it is refused
	}
	if !joined() {
		t.Error("a good peer's datagrams are sent one by one")
	}
}
