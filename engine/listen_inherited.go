package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Inherited returns the sockets that the process inherited by the protocol of systemd,
// sd_listen_fds(3): as many as LISTEN_FDS says, from descriptor 3 on, named by LISTEN_FDNAMES. It
// returns none unless LISTEN_PID is this process. Pass them to net.FileListener and then
// ListenConfig.Serve, or to net.FilePacketConn and then PacketConfig.Serve. Inherited removes the
// variables, so a second call returns none, and makes the descriptors close-on-exec. It may be
// called from any goroutine. The error is a malformed LISTEN_FDS.
func Inherited() ([]*os.File, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	n, err := strconv.ParseUint(count, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("engine: LISTEN_FDS is %q: want a number of descriptors", count)
	}
	const first = 3 // SD_LISTEN_FDS_START
	named := strings.Split(names, ":")
	files := make([]*os.File, n)
	for i := range files {
		name := "unknown" // sd_listen_fds_with_names(3)
		if i < len(named) && named[i] != "" {
			name = named[i]
		}
		syscall.CloseOnExec(first + i)
		files[i] = os.NewFile(uintptr(first+i), name)
	}
	return files, nil
}
