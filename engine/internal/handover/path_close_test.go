//go:build darwin || freebsd || linux

package handover

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCloseLeavesTheNextSocket: a process that ended could look at the path just before the next
// one put its socket there, and remove that. Nobody found the next one any more.
func TestCloseLeavesTheNextSocket(t *testing.T) {
	noLeak(t)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFolder(filepath.Dir(path)) // as the next process does
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close(true) }()
	select {
	case err := <-closed:
		t.Fatalf("Close has returned: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	next := filepath.Join(filepath.Dir(path), "next")
	fd, err := newSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: next}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the next socket: %v", err)
	}
}
