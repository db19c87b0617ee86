package socket

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// alike returns five datagrams of the same size, one behind the other in memory.
func alike(to netip.AddrPort) (all []driver.Datagram) {
	arena := make([]byte, 500)
	for i := range 5 {
		all = append(all, driver.Datagram{Data: arena[100*i : 100*(i+1)], Peer: driver.Peer{AddrPort: to}})
	}
	return all
}

// sendAlike sends five datagrams. It reports whether they were joined.
func sendAlike(t *testing.T, d *datagrams, fd int) bool {
	t.Helper()
	if n, err := d.Send(fd, false, alike(local(fd))); n != 5 || err != nil {
		t.Fatalf("sent %d, %v", n, err)
	}
	return d.out.counts[0] == 5
}

// TestBadPeerLeavesOthersJoined: datagrams to a peer that cannot be sent to, such as one that has
// sent from port 0, made a loop send all datagrams one by one for ever.
func TestBadPeerLeavesOthersJoined(t *testing.T) {
	fd, err := Maker{}.ListenPacket("udp4", "127.0.0.1:0", driver.PacketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	good, bad := local(fd), netip.MustParseAddrPort("127.0.0.1:0")
	var d datagrams
	if !sendAlike(t, &d, fd) {
		t.Skip("no UDP_SEGMENT on this system")
	}
	all := append(alike(bad), alike(good)...)
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
	if !sendAlike(t, &d, fd) {
		t.Error("a good peer's datagrams are sent one by one")
	}
}

// TestSocketThatCannotJoinLeavesOthersJoined: EIO, which is about the options, the device or the
// route of one socket, made a loop send all datagrams one by one, those of its other sockets too.
// New kernels cut datagrams themselves rather than return it.
func TestSocketThatCannotJoinLeavesOthersJoined(t *testing.T) {
	var fds [2]int
	for i := range fds {
		fd, err := Maker{}.ListenPacket("udp4", "127.0.0.1:0", driver.PacketOptions{ReadBuffer: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	var d datagrams
	if !sendAlike(t, &d, fds[0]) {
		t.Skip("no UDP_SEGMENT on this system")
	}
	d.takeApart(fds[0], 5, unix.EIO)
	for sent := 0; sent < afterEIO; sent += 5 {
		if sendAlike(t, &d, fds[0]) {
			t.Fatalf("joined again after %d datagrams", sent)
		}
		if !sendAlike(t, &d, fds[1]) {
			t.Fatal("the other socket's datagrams are sent one by one")
		}
	}
	if !sendAlike(t, &d, fds[0]) || len(d.unable) > 0 {
		t.Errorf("not tried again: %v", d.unable)
	}
}
