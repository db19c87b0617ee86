package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// epolls returns the process's epoll descriptors.
func epolls() map[int]bool {
	fds := map[int]bool{}
	for fd := range 1000 {
		if name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); name == "anon_inode:[eventpoll]" {
			fds[fd] = true
		}
	}
	return fds
}

// TestRunEndsWhenALoopIsBroken, here by a double close elsewhere in the process. Half of all
// connections were dead, and nobody was told.
func TestRunEndsWhenALoopIsBroken(t *testing.T) {
	before, log := epolls(), &lockedBuffer{}
	eng, err := engine.New(engine.Config{Loops: 2, Logger: logTo(log)})
	if err != nil {
		t.Fatal(err)
	}
	mine := epolls()
	ran, turned := make(chan error, 1), make(chan bool, 2)
	go func() { ran <- eng.Run(context.Background()) }()
	for loop := range 2 {
		eng.Post(loop, func() { turned <- true })
		receive(t, "turn", turned)
	}
	for fd := range mine {
		if !before[fd] {
			syscall.Close(fd)
			break
		}
	}
	for loop := range 2 {
		eng.Post(loop, func() {}) // wakes it
	}
	if err := receive(t, "Run", ran); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Run returned %v", err)
	}
	if !strings.Contains(log.String(), "a loop has ended") {
		t.Errorf("logged: %s", log)
	}
}
