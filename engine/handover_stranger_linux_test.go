package engine_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// strangerPath is the Path that a process of TestAnotherUserInheritsNothing takes over from.
const strangerPath = "MYRIAD_STRANGER_PATH"

// TestStrangerProcess is the program of such a process, and no test: it prints what it has got.
func TestStrangerProcess(t *testing.T) {
	path := os.Getenv(strangerPath)
	if path == "" {
		t.Skip("run by TestAnotherUserInheritsNothing")
	}
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	h := engine.Handover{Path: path, Load: loadMover}
	found, err := h.Inherit(context.Background(), e)
	t.Logf("found %t, stage %v, error: %v", found, e.Handover().Stage, err)
}

// TestAnotherUserInheritsNothing: a process of another user gets no listener and no connection,
// also if somebody changes the mode of the socket. The old process does not even begin a handover,
// and gives all to its own user afterwards.
func TestAnotherUserInheritsNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	dir, err := os.MkdirTemp("", "handover") // others cannot reach that of TempDir
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "test")
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := engine.Handover{Path: filepath.Join(dir, "handover"), Load: loadMover}
	c := engine.Config{Loops: 1}
	g := begin(t, h, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	for _, test := range []struct {
		mode fs.FileMode
		want string
	}{
		{0o600, "permission denied"},
		{0o666, "another user"},
	} {
		if err := os.Chmod(h.Path, test.mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-test.run=^TestStrangerProcess$", "-test.v")
		cmd.Dir, cmd.Env = "/", []string{strangerPath + "=" + h.Path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "found false, stage none, error:") ||
			!strings.Contains(string(out), test.want) {
			t.Errorf("mode %o: %v, want %q:\n%s", test.mode, err, test.want, out)
		}
	}
	if s := g.Handover(); s.Stage != engine.HandoverNone {
		t.Errorf("the old process has begun a handover: %+v", s)
	}
	talk(t, nc, &pos, 1)
	g.handOver(t, h, c, engine.ListenConfig{}, newMover)
	talk(t, nc, &pos, 1)
}
