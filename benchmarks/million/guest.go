package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// guest is called by the guest's init. It measures, sends results to the host by its console, and
// powers off. It does not close the connections, which would take longer than opening them.
func guest(t trial) {
	t.Where, t.Server = "guest", []string{"/wsserver"}
	if t.Clock == clockInstructions { // let the client run only while the server waits
		const nice = `/bin/busybox renice -n -20 -p $$ && exec "$0" "$@"`
		t.Server = []string{"/bin/busybox", "sh", "-c", nice, "/wsserver"}
	}
	t.say = func(format string, a ...any) { record{Progress: fmt.Sprintf(format, a...)}.write(os.Stdout) }
	t.done = func(r result) {
		record{Result: &r}.write(os.Stdout)
		unix.IoctlSetInt(1, unix.TCSBRK, 1) // tcdrain(3): wait until it is sent
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	if err := acknowledgeAtOnce(); err != nil {
		t.say("%v", err)
	}
	if r, err := t.run(context.Background()); err != nil { // done was not called
		r.Error = err.Error()
		t.done(r)
	}
}
