package handover

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCutOffDescriptorsAreAnError: the taker may have no more descriptors. Those that came are
// closed.
func TestCutOffDescriptorsAreAnError(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		giver, taker := ends(t)
		fds := make([]int, 100)
		for i := range fds {
			fds[i] = 1
		}
		if _, err := giver.Send([]byte("abc"), fds); err != nil {
			t.Fatal(err)
		}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		low := limit
		free, err := unix.Dup(1)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(free)
		low.Cur = uint64(free + 4)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
			t.Fatal(err)
		}
		_, got, err := taker.Receive(make([]byte, 5), nil)
		unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), "RLIMIT_NOFILE") {
			t.Errorf("%d descriptors come: %v", len(got), err)
			closeFDs(got)
		}
	})
}
