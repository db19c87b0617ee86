//go:build linux

package epoll

import (
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

// TestRemote is what package unix says, without an allocation.
func TestRemote(t *testing.T) {
	for _, test := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::ffff:127.0.0.1]:0"}, {"unix", filepath.Join(t.TempDir(), "s")},
	} {
		ln, err := net.Listen(test.network, test.address)
		if err != nil {
			t.Logf("%s: %v", test.address, err) // no IPv6 here
			continue
		}
		defer ln.Close()
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var got, want netip.AddrPort
		raw, _ := c.(syscall.Conn).SyscallConn()
		raw.Control(func(fd uintptr) {
			got, want = remote(int(fd)), socket.Remote(int(fd))
			if n := testing.AllocsPerRun(100, func() { remote(int(fd)) }); n > 0 {
				t.Errorf("%s: %v allocations", test.address, n)
			}
		})
		if got != want || test.network != "unix" && !got.IsValid() {
			t.Errorf("%s: %v, want %v", test.address, got, want)
		}
	}
	if a := remote(-1); a.IsValid() {
		t.Errorf("of nothing: %v", a)
	}
}
