//go:build darwin || freebsd || linux

package handover

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	pathVariable = "MYRIAD_TEST_HANDOVER_PATH"
	nobodyElse   = 65534
)

// TestStranger is not a test, but the process that TestAnotherUserGetsNothing starts as another
// user. What it finds out is its exit code.
func TestStranger(t *testing.T) {
	path := os.Getenv(pathVariable)
	if path == "" {
		t.Skip("only a part of TestAnotherUserGetsNothing")
	}
	os.Exit(stranger(path))
}

const (
	strangerDenied  = 10 + iota // no permission to connect
	strangerPeer                // Dial found another user
	strangerDropped             // the giver hung up, and sent nothing
	strangerGot                 // the giver sent something
	strangerElse
)

func stranger(path string) int {
	_, err := Dial(context.Background(), path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return strangerDenied
	case !errors.Is(err, ErrPeer):
		return strangerElse
	case os.Getenv(pathVariable+"_RAW") == "":
		return strangerPeer
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		return strangerElse
	}
	c.Write(appendHello(nil, 0))
	c.SetReadDeadline(time.Now().Add(patient))
	n, err := c.Read(make([]byte, 10))
	switch {
	case n > 0:
		return strangerGot
	case errors.Is(err, os.ErrDeadlineExceeded):
		return strangerElse
	}
	return strangerDropped
}

// TestAnotherUserGetsNothing: the mode of the socket keeps other users out. If somebody changes it,
// both sides refuse each other, and the giver goes on waiting.
func TestAnotherUserGetsNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	lines(t, func(t *testing.T) {
		noLeak(t)
		dir, err := os.MkdirTemp("", "handover")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "s")
		s, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(true)
		ctx, cancel := context.WithTimeout(t.Context(), 2*patient)
		defer cancel()
		accepted := make(chan Waiter, 1)
		go func() {
			c, _ := s.Accept(ctx)
			accepted <- c
		}()
		program := copyOfTest(t, dir)
		for _, c := range []struct {
			name string
			mode fs.FileMode
			raw  string
			want int
		}{
			{"mode 0600", 0o600, "", strangerDenied},
			{"mode 0666", 0o666, "", strangerPeer},
			{"mode 0666 and no check", 0o666, "1", strangerDropped},
		} {
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(program, "-test.run=^TestStranger$")
			cmd.Dir = "/"
			cmd.Env = []string{pathVariable + "=" + path, pathVariable + "_RAW=" + c.raw}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyElse, Gid: nobodyElse}}
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("%s: the stranger ends with %d, want %d: %v\n%s", c.name, got, c.want, err, out)
			}
		}
		friend, err := Dial(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		friend.Close()
		if c := <-accepted; c == nil {
			t.Error("the giver has not waited for its own user")
		} else {
			c.Close()
		}
	})
}

// copyOfTest copies this program to where another user may read it.
func copyOfTest(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "test")
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}
