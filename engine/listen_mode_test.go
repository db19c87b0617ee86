//go:build unix

package engine_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestModeOfAUnixSocket: the file has the mode that was asked for, with any umask.
func TestModeOfAUnixSocket(t *testing.T) {
	listen := map[string]func(e *engine.Engine, path string, mode fs.FileMode) error{
		"unix": func(e *engine.Engine, path string, mode fs.FileMode) error {
			_, err := engine.ListenConfig{FileMode: mode}.Listen(e, "unix", path, echoes)
			return err
		},
		"unixgram": func(e *engine.Engine, path string, mode fs.FileMode) error {
			_, err := engine.PacketConfig{FileMode: mode}.Listen(e, "unixgram", path, ignores)
			return err
		},
	}
	for _, test := range []struct {
		name       string
		umask      int
		mode, want fs.FileMode
	}{
		{name: "narrower than the umask", umask: 0o000, mode: 0o600, want: 0o600},
		{name: "wider than the umask", umask: 0o077, mode: 0o666, want: 0o666},
		{name: "default", umask: 0o027, want: 0o750},
	} {
		for network, listen := range listen {
			t.Run(network+" "+test.name, func(t *testing.T) {
				e, err := engine.New(engine.Config{Loops: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				path := filepath.Join(t.TempDir(), "s")
				defer syscall.Umask(syscall.Umask(test.umask))
				if err := listen(e, path, test.mode); err != nil {
					t.Fatal(err)
				}
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if got := info.Mode().Perm(); got != test.want {
					t.Errorf("mode %v, want %v", got, test.want)
				}
			})
		}
	}
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for network, listen := range listen {
		if err := listen(e, filepath.Join(t.TempDir(), "s"), fs.ModeSetuid|0o600); err == nil {
			t.Errorf("%s: a mode that is more than permissions was accepted", network)
		}
	}
}
