//go:build darwin || freebsd || linux

package handover

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patient = 20 * time.Second

// lines runs a test with and without the second pair of sockets that some systems need.
func lines(t *testing.T, f func(t *testing.T)) {
	for _, line := range []bool{false, true} {
		if !line && lossyShutdown {
			continue
		}
		name := map[bool]string{false: "one socket", true: "with a line"}[line]
		t.Run(name, func(t *testing.T) {
			before := needsLine
			needsLine = line
			defer func() { needsLine = before }()
			f(t)
		})
	}
}

// openFDs returns how many descriptors this process has.
func openFDs(t *testing.T) int {
	t.Helper()
	n := 0
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// noLeak checks that a test leaves no descriptor.
func noLeak(t *testing.T) {
	t.Helper()
	if r, w, err := os.Pipe(); err == nil { // the runtime's descriptors come with the first pipe
		r.Close()
		w.Close()
	}
	before := openFDs(t)
	t.Cleanup(func() {
		for end := time.Now().Add(patient); openFDs(t) != before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d descriptors are open, before there were %d", openFDs(t), before)
			}
		}
	})
}

// ends returns both ends of a handover through a path: the giver's and the taker's.
func ends(t *testing.T) (giver, taker Waiter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(true)
	accepted := make(chan error, 1)
	go func() {
		var err error
		giver, err = s.Accept(ctx)
		accepted <- err
	}()
	if taker, err = Dial(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		giver.Close()
		taker.Close()
	})
	return giver, taker
}

// receive waits for something.
func receive(t *testing.T, w Waiter, p []byte) (n int, fds []int, err error) {
	t.Helper()
	for end := time.Now().Add(patient); ; {
		if n, fds, err = w.Receive(p, nil); err != ErrWouldBlock {
			return n, fds, err
		}
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
		if err := w.Wait(false, time.Second); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShutdownKeepsWhatWasSent: when the giver has shut down, no send of the taker succeeds, and
// what it sent before is still there.
func TestShutdownKeepsWhatWasSent(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		giver, taker := ends(t)
		if n, err := taker.Send([]byte("sent"), nil); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		giver.Shutdown()
		if n, err := taker.Send([]byte("late"), nil); n != 0 || err != ErrClosed {
			t.Errorf("the taker sends %d bytes after Shutdown: %v", n, err)
		}
		p := make([]byte, 100)
		if n, _, err := giver.Receive(p, nil); string(p[:n]) != "sent" {
			t.Errorf("the giver receives %q after Shutdown: %v", p[:n], err)
		}
		if _, _, err := giver.Receive(p, nil); err != io.EOF {
			t.Errorf("then %v, want io.EOF", err)
		}
		if _, _, err := taker.Receive(p, nil); err != io.EOF {
			t.Errorf("the taker receives %v, want io.EOF", err)
		}
	})
}

// TestCloseIsTheEnd: what a process sent before it died arrives, and then the end, although it had
// not read everything.
func TestCloseIsTheEnd(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		giver, taker := ends(t)
		if _, err := giver.Send([]byte("not read"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := taker.Send([]byte("sent"), nil); err != nil {
			t.Fatal(err)
		}
		taker.Close()
		p := make([]byte, 100)
		if n, _, err := receive(t, giver, p); string(p[:n]) != "sent" {
			t.Errorf("the giver receives %q: %v", p[:n], err)
		}
		if _, _, err := receive(t, giver, p); err != io.EOF {
			t.Errorf("then %v, want io.EOF", err)
		}
		if _, err := giver.Send([]byte("x"), nil); err != ErrClosed {
			t.Errorf("the giver sends: %v, want ErrClosed", err)
		}
	})
}

// TestDescriptorsComeOnceAndCloseOnExec: those of a message arrive with its first byte, even if a
// part of it is read.
func TestDescriptorsComeOnceAndCloseOnExec(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		giver, taker := ends(t)
		fds := make([]int, MaxDescriptors)
		for i := range fds {
			fds[i] = 1
		}
		if n, err := giver.Send([]byte("abc"), fds); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		_, got, err := receive(t, taker, make([]byte, 1))
		defer closeFDs(got)
		if err != nil || len(got) != len(fds) {
			t.Fatalf("%d descriptors come: %v", len(got), err)
		}
		for _, fd := range got {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Fatalf("a descriptor is not close-on-exec: %v", err)
			}
		}
		if n, more, err := receive(t, taker, make([]byte, 5)); n != 2 || len(more) > 0 || err != nil {
			t.Errorf("then %d bytes and %d descriptors come: %v", n, len(more), err)
		}
	})
}

// TestWakeEndsWait, also a Wait that has not begun, and it may come after Close.
func TestWakeEndsWait(t *testing.T) {
	noLeak(t)
	_, taker := ends(t)
	done := make(chan error)
	go func() { done <- taker.Wait(false, time.Hour) }()
	taker.Wake()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	taker.Wake()
	if err := taker.Wait(false, time.Hour); err != nil {
		t.Fatal(err)
	}
	taker.Close()
	taker.Wake()
}

// TestListenAtPath: a stale socket is replaced, another file and a socket that is answered at are
// not, the mode is 0600, and Close removes only its own file.
func TestListenAtPath(t *testing.T) {
	noLeak(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	if _, err := Dial(t.Context(), path); !errors.Is(err, ErrNobody) {
		t.Errorf("dial a stale socket: %v, want ErrNobody", err)
	}
	if _, err := Dial(t.Context(), path+"2"); !errors.Is(err, ErrNobody) {
		t.Errorf("dial nothing: %v, want ErrNobody", err)
	}
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("a second Listen: %v, want ErrInUse", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("the folder has %d files, want 1", len(names))
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
		t.Fatal(err)
	}
	s.Close(true)
	if b, err := os.ReadFile(path); !bytes.Equal(b, []byte("mine")) {
		t.Errorf("Close removes another one's file: %v", err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("Listen at a file: %v, want ErrInUse", err)
	}
}

// TestInheritedSocket: a successor has the socket before the giver closes its own, so that no dial
// is refused.
func TestInheritedSocket(t *testing.T) {
	noLeak(t)
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := Inherit(path, fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(false); err != nil {
		t.Error(err)
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := next.Accept(t.Context())
		if err == nil {
			c.Close()
		}
		accepted <- err
	}()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if err := next.Close(true); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
}

// TestAcceptEndsWithItsContext.
func TestAcceptEndsWithItsContext(t *testing.T) {
	noLeak(t)
	s, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(true)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.Accept(ctx)
		done <- err
	}()
	cancel(cause)
	if err := <-done; err != cause {
		t.Errorf("Accept returns %v, want the cause", err)
	}
}

// TestLockedFolder: somebody who may only read the folder can lock it, and does not keep a process
// from offering.
func TestLockedFolder(t *testing.T) {
	noLeak(t)
	path := filepath.Join(t.TempDir(), "s")
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(true)
}
