package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// TestListenLeavesForeignLockFilesAlone: they were removed, content and all.
func TestListenLeavesForeignLockFilesAlone(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	path := filepath.Join(t.TempDir(), "socket")
	for _, name := range []string{path + ".lock", path + ".myriad-lock"} {
		if err := os.WriteFile(name, []byte("4711\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		ln, err := eng.Listen("unix", path, turnAway)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if b, err := os.ReadFile(name); string(b) != "4711\n" {
			t.Errorf("%s has %q, %v", filepath.Base(name), b, err)
		}
	}
}

// TestListenDoesNotHoldTheEngineUp: Control, and the wait for the lock of a path, were under the
// lock that Dial, Shutdown and OnShutdown need.
func TestListenDoesNotHoldTheEngineUp(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	control := func(string, string, syscall.RawConn) error {
		return eng.OnShutdown(func(context.Context) {})
	}
	done := make(chan error, 2)
	go func() {
		_, err := engine.ListenConfig{Control: control}.Listen(eng, "tcp", "127.0.0.1:0", turnAway)
		done <- err
		_, err = engine.PacketConfig{Control: control}.Listen(eng, "udp", "127.0.0.1:0",
			func(*engine.PacketConn) engine.PacketProtocol { return nil })
		done <- err
	}()
	for range 2 {
		if err := receive(t, "Listen", done); err != nil {
			t.Error(err)
		}
	}
	path := filepath.Join(t.TempDir(), "socket")
	lock, err := os.Create(path + ".myriad-lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := eng.Listen("unix", path, turnAway)
		done <- err
	}()
	calls := 0
	for ; len(done) == 0; calls++ { // all through the wait
		if _, err := eng.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if <-done; calls < 1000 {
		t.Errorf("during the wait another method could be called only %d times", calls)
	}
}
