package socket

import (
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRemote compares with package unix, and allocates nothing.
func TestRemote(t *testing.T) {
	var o Operations
	for _, test := range []struct{ network, address string }{
		{network: "tcp4", address: "127.0.0.1:0"}, {network: "tcp6", address: "[::1]:0"},
		{network: "tcp", address: "[::ffff:127.0.0.1]:0"}, {network: "unix", address: filepath.Join(t.TempDir(), "s")},
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
			got, want = o.Remote(int(fd)), remote(int(fd))
			if n := testing.AllocsPerRun(100, func() { o.Remote(int(fd)) }); n > 0 {
				t.Errorf("%s: %v allocations", test.address, n)
			}
		})
		if got != want || test.network != "unix" && !got.IsValid() {
			t.Errorf("%s: %v, want %v", test.address, got, want)
		}
	}
	if a := o.Remote(-1); a.IsValid() {
		t.Errorf("of nothing: %v", a)
	}
}
