package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// guest is what the guest's init calls: it measures, tells the host by its console, and switches the machine off. To close
// millions of connections first would take longer than to open them.
func guest(t trial) {
	t.Where, t.Server = "guest", []string{"/wsserver"}
	if t.Clock == clockInstructions { // the client shall run while the server waits, as it would with a processor of its own
		t.Server = []string{"/bin/busybox", "sh", "-c", `/bin/busybox renice -n -20 -p $$ && exec "$0" "$@"`, "/wsserver"}
	}
	t.say = func(format string, a ...any) { record{Progress: fmt.Sprintf(format, a...)}.write(os.Stdout) }
	t.done = func(r result) {
		record{Result: &r}.write(os.Stdout)
		unix.IoctlSetInt(1, unix.TCSBRK, 1) // tcdrain(3): until it is out
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	if err := acknowledgeAtOnce(); err != nil {
		t.say("%v", err)
	}
	if r, err := t.run(context.Background()); err != nil { // it has not come to measuring
		r.Error = err.Error()
		t.done(r)
	}
}
