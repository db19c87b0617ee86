package socket

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// TestKeepAliveSetsAllThatCounts: with the interval and the count of the system, a dead peer was
// found after 682 seconds when 7 were asked for.
func TestKeepAliveSetsAllThatCounts(t *testing.T) {
	for _, test := range []struct{ seconds, interval int }{{7, 7}, {600, 15}} {
		fd, err := open(unix.AF_INET, unix.SOCK_STREAM)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := SetOption(fd, driver.KeepAlive, test.seconds); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[int]int{unix.TCP_KEEPIDLE: test.seconds, unix.TCP_KEEPINTVL: test.interval,
			unix.TCP_KEEPCNT: 9} {
			if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, name); got != want || err != nil {
				t.Errorf("%d seconds: option %d is %d, %v, want %d", test.seconds, name, got, err, want)
			}
		}
	}
}
