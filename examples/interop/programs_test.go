package interop

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// missing ends a test that needs a program which cannot be had. In .ci/run, which installs them
// all, that is a failure.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("MYRIAD_INTEROP") == "all" {
		t.Fatal(why)
	}
	t.Skip(why + "; .ci/run installs it")
}

// program finds an installed program, also where Debian has its servers.
func program(t *testing.T, name string) (path string) {
	t.Helper()
	for _, at := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(at); err == nil {
			return path
		}
	}
	missing(t, "no "+name+" on this machine")
	return ""
}

// output is what a program has said so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// child starts a program, which is ended with the test. What it says is shown if the test fails.
func child(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	said := new(output)
	if cmd.Stdout == nil {
		cmd.Stdout = said
	}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		stuck := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		if !stuck.Stop() {
			t.Errorf("%s does not end", filepath.Base(cmd.Path))
		}
		if t.Failed() && said.String() != "" {
			t.Logf("%s says:\n%s", filepath.Base(cmd.Path), said)
		}
	})
}

// finish runs a program to its end and returns what it prints. The error is its exit status.
func finish(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(3*patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !stuck.Stop() {
		t.Fatalf("%s does not end: %s%s", cmd, &out, &said)
	}
	if err != nil && said.Len() > 0 {
		t.Logf("%s: %s", filepath.Base(cmd.Path), &said)
	}
	return out.String(), err
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
