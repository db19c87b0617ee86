//go:build unix

package engine_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// noPackets is a PacketProtocol that does nothing.
type noPackets struct{}

func (noPackets) Datagram(engine.PacketAddr, []byte) {}
func (noPackets) Closed(error)                       {}

func ignores(*engine.PacketConn) engine.PacketProtocol { return noPackets{} }

// pathListeners open a unix socket of either kind.
var pathListeners = []struct {
	network string
	listen  func(e *engine.Engine, path string) error
}{
	{network: "unix", listen: func(e *engine.Engine, path string) error {
		_, err := e.Listen("unix", path, echoes)
		return err
	}},
	{network: "unixgram", listen: func(e *engine.Engine, path string) error {
		_, err := e.ListenPacket("unixgram", path, ignores)
		return err
	}},
}

// TestEndLeavesTheSuccessorsFile: a new server has renamed its socket to the path of the old one,
// which then ends, in another working directory.
func TestEndLeavesTheSuccessorsFile(t *testing.T) {
	for _, c := range pathListeners {
		for _, ran := range []bool{false, true} {
			t.Run(c.network, func(t *testing.T) {
				t.Chdir(t.TempDir())
				eng, err := engine.New(engine.Config{Loops: 1})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.listen(eng, "app"); err != nil {
					t.Fatal(err)
				}
				if err := c.listen(eng, "other"); err != nil {
					t.Fatal(err)
				}
				if ran {
					go eng.Run(context.Background())
					stats(t, eng)
				}
				if err := os.WriteFile("new", []byte("successor"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename("new", "app"); err != nil {
					t.Fatal(err)
				}
				home, _ := os.Getwd()
				t.Chdir(t.TempDir())
				eng.Close()
				if _, err := os.Stat(filepath.Join(home, "app")); err != nil {
					t.Errorf("the successor's file: %v", err)
				}
				if _, err := os.Stat(filepath.Join(home, "other")); err == nil {
					t.Error("our own file is still there")
				}
			})
		}
	}
}

// TestAbstractSocketsHaveNoFile: a file with the name of an abstract socket is somebody else's.
func TestAbstractSocketsHaveNoFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	for _, c := range pathListeners {
		t.Run(c.network, func(t *testing.T) {
			t.Chdir(t.TempDir())
			name := "@" + filepath.Base(filepath.Dir(t.TempDir())) + c.network
			if err := os.WriteFile(name, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			eng, err := engine.New(engine.Config{Loops: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			if err := c.listen(eng, name); err != nil {
				t.Fatal(err)
			}
			eng.Close()
			if files, _ := os.ReadDir("."); len(files) != 1 || files[0].Name() != name {
				t.Errorf("files: %v, want %s alone", files, name)
			}
		})
	}
}

// TestOneOfTwoTakesAStalePath: two servers start at the same time on a path that a dead one has
// left behind.
func TestOneOfTwoTakesAStalePath(t *testing.T) {
	for _, c := range pathListeners {
		t.Run(c.network, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "stale") // t.TempDir may be too long for sun_path
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "s")
			engines := []*engine.Engine{serve(t, engine.Config{Loops: 1}, echoes).Engine,
				serve(t, engine.Config{Loops: 1}, echoes).Engine}
			for range 1000 {
				os.Remove(path)
				leaveBehind(t, c.network, path)
				var w sync.WaitGroup
				var errs [2]error
				start := make(chan bool)
				for i, e := range engines {
					w.Go(func() {
						<-start
						errs[i] = c.listen(e, path)
					})
				}
				close(start)
				w.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Fatalf("want one error: %v, %v", errs[0], errs[1])
				}
			}
			for _, e := range engines {
				e.Close()
			}
			if files, _ := os.ReadDir(dir); len(files) != 0 {
				t.Errorf("%v is left", files)
			}
		})
	}
}

// leaveBehind makes the file of a socket that is closed.
func leaveBehind(t *testing.T, network, path string) {
	t.Helper()
	if network == "unixgram" {
		c, err := net.ListenUnixgram(network, &net.UnixAddr{Name: path, Net: network})
		if err != nil {
			t.Fatal(err)
		}
		c.Close() // leaves the file
		return
	}
	ln, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

// TestPathInUse: a socket that is served is not stale.
func TestPathInUse(t *testing.T) {
	for _, c := range pathListeners {
		t.Run(c.network, func(t *testing.T) {
			t.Chdir(t.TempDir())
			eng, err := engine.New(engine.Config{Loops: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer eng.Close()
			if err := c.listen(eng, "s"); err != nil {
				t.Fatal(err)
			}
			if err := c.listen(eng, "s"); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("second: %v", err)
			}
		})
	}
}
