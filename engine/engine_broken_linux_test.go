package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// replace makes fd another file, as after a double close elsewhere in the process. A number that is
// only closed may become somebody else's before the loop looks at it, and is closed once more.
func replace(t *testing.T, fd int) {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Dup3(int(f.Fd()), fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
}

// asking is a slog.Handler that calls a method of the engine which takes its lock.
type asking struct {
	slog.Handler
	engine *engine.Engine
	answer error
}

func (h *asking) Handle(ctx context.Context, r slog.Record) error {
	if h.engine != nil {
		h.answer = h.engine.OnShutdown(func(context.Context) {})
	}
	return h.Handler.Handle(ctx, r)
}

// TestLoggerAsksABrokenEngine: a Handler that called the engine when the end of a loop was logged
// waited for itself, and the engine never ended.
func TestLoggerAsksABrokenEngine(t *testing.T) {
	before := epolls()
	h := &asking{Handler: logTo(&lockedBuffer{}).Handler()}
	eng, err := engine.New(engine.Config{Loops: 1, Logger: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	h.engine = eng
	ran, turned := make(chan error, 1), make(chan bool, 1)
	mine := epolls()
	go func() { ran <- eng.Run(context.Background()) }()
	eng.Post(0, func() { turned <- true })
	receive(t, "turn", turned)
	for fd := range mine {
		if !before[fd] {
			replace(t, fd)
		}
	}
	eng.Post(0, func() {}) // wakes it
	if err := receive(t, "Run", ran); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Run returned %v", err)
	}
	if h.answer != nil {
		t.Errorf("OnShutdown in the Handler: %v", h.answer)
	}
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
			replace(t, fd)
			break
		}
	}
	for loop := range 2 {
		eng.Post(loop, func() {}) // wakes it
	}
	if err := receive(t, "Run", ran); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Run returned %v", err)
	}
	if !strings.Contains(log.String(), "a loop has ended") {
		t.Errorf("logged: %s", log)
	}
}
