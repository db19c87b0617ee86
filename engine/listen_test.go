package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// canSpread is whether the system has ListenConfig.PerLoop.
var canSpread = slices.Contains([]string{"linux", "freebsd", "dragonfly"}, runtime.GOOS)

var perLoop = engine.ListenConfig{PerLoop: canSpread}

func echoes(c *engine.Conn) engine.Protocol { return echoOn(c) }

func stats(t testing.TB, e *engine.Engine) engine.Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := e.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// refused says that the server closed c at once.
func refused(t testing.TB, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("want a connection that is closed at once, got %d bytes, %v", n, err)
	}
}

func TestConnectionsOverALimitAreRefusedAndCounted(t *testing.T) {
	for _, c := range []struct {
		name   string
		engine engine.Config
		listen engine.ListenConfig
		cause  engine.Refusal
	}{
		{"engine", engine.Config{Loops: 2, MaxConnections: 3}, engine.ListenConfig{}, engine.RefusedEngine},
		{"listener", engine.Config{Loops: 2}, engine.ListenConfig{MaxConnections: 3}, engine.RefusedListener},
		{"address", engine.Config{Loops: 2}, engine.ListenConfig{MaxPerAddress: 3, MaxConnections: 100},
			engine.RefusedAddress},
		{"engine, per loop", engine.Config{Loops: 2, MaxConnections: 3}, perLoop, engine.RefusedEngine},
		{"listener, per loop", engine.Config{Loops: 2}, engine.ListenConfig{PerLoop: canSpread, MaxConnections: 3},
			engine.RefusedListener},
		{"address, per loop", engine.Config{Loops: 2},
			engine.ListenConfig{PerLoop: canSpread, MaxPerAddress: 3, MaxConnections: 100}, engine.RefusedAddress},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.engine, echoes)
			ln, err := c.listen.Listen(s.Engine, "tcp", "127.0.0.1:0", echoes)
			if err != nil {
				t.Fatal(err)
			}
			s.ln = ln
			for round := range 3 {
				var open []net.Conn
				for range 3 {
					d := s.dial(t)
					ask(t, d, "hello")
					open = append(open, d)
				}
				refused(t, s.dial(t))
				if n := stats(t, s.Engine).Refused[c.cause]; n != uint64(round+1) {
					t.Fatalf("%d refused by %v, want %d", n, c.cause, round+1)
				}
				if c.cause == engine.RefusedAddress {
					other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
					d, err := other.Dial("tcp", ln.String())
					if err != nil {
						t.Fatal(err)
					}
					ask(t, d, "another address")
					open = append(open, d)
				}
				for _, d := range open {
					d.Close()
				}
				eventually(t, "end of all", func() bool { return stats(t, s.Engine).Connections == 0 })
			}
		})
	}
}

// TestAcceptRate: on the simulator's clock, never more than one second's worth at once and the rate
// after that.
func TestAcceptRate(t *testing.T) {
	for _, c := range []struct {
		name   string
		loops  int
		listen engine.ListenConfig
	}{
		{name: "one listener", loops: 1},
		{name: "one per loop", loops: 2, listen: engine.ListenConfig{PerLoop: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rate, peers = 50, 170
			n := sim.New(sim.Config{Seed: 1})
			e, err := engine.NewOn(n, engine.Config{Loops: c.loops})
			if err != nil {
				t.Fatal(err)
			}
			accepted := 0
			c.listen.AcceptRate = rate
			ln, err := c.listen.Listen(e, "tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
				accepted++
				return echoOn(c)
			})
			if err != nil {
				t.Fatal(err)
			}
			for range peers {
				n.Dial(ln.Addr())
			}
			begin := n.Now()
			for accepted < peers {
				e.Step()
				elapsed := n.Now() - begin
				if most := rate + c.loops + int(elapsed*rate/time.Second); accepted > most {
					t.Fatalf("%d accepted after %v, want at most %d", accepted, elapsed, most)
				}
				if elapsed > 10*time.Second {
					t.Fatalf("only %d accepted after %v", accepted, elapsed)
				}
			}
			if elapsed := n.Now() - begin; elapsed > 4*time.Second {
				t.Errorf("%d accepted only after %v", peers, elapsed)
			}
		})
	}
}

func TestServeTakesOverANetListener(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			s := serve(t, engine.Config{Loops: 1}, echoes)
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			nl, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			early, err := net.Dial(network, nl.Addr().String()) // waits in the backlog
			if err != nil {
				t.Fatal(err)
			}
			defer early.Close()
			ln, err := engine.ListenConfig{}.Serve(s.Engine, nl, echoes)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nl.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the listener was left open: %v", err)
			}
			ask(t, early, "early")
			if ln.String() != nl.Addr().String() {
				t.Errorf("String is %q, want %q", ln, nl.Addr())
			}
			ln.Close()
			if network == "unix" {
				stats(t, s.Engine) // behind the Close
				if _, err := os.Stat(address); err != nil {
					t.Errorf("a path that is not the engine's was removed: %v", err)
				}
			}
		})
	}
	if _, err := (engine.ListenConfig{}).Serve(nil, notOurs{}, echoes); err == nil ||
		!strings.Contains(err.Error(), "notOurs") {
		t.Errorf("a listener of an unknown kind: %v", err)
	}
}

type notOurs struct{ net.Listener }

// TestInherited runs this test again, as a process that was started with two sockets.
func TestInherited(t *testing.T) {
	if os.Getenv("MYRIAD_INHERIT") != "" {
		inherited(t)
		return
	}
	var extra []*os.File
	var addresses []string
	for range 2 {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := nl.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		extra, addresses = append(extra, f), append(addresses, nl.Addr().String())
	}
	// The process must know its own number: the shell has the one that it execs with.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestInherited$' -test.count=1`,
		os.Args[0])
	cmd.ExtraFiles = extra
	cmd.Env = append(os.Environ(), "MYRIAD_INHERIT="+strings.Join(addresses, ","), "LISTEN_FDS=2",
		"LISTEN_FDNAMES=web:admin")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func inherited(t *testing.T) {
	files, err := engine.Inherited()
	if err != nil || len(files) != 2 {
		t.Fatalf("Inherited: %v, %v", files, err)
	}
	if names := []string{files[0].Name(), files[1].Name()}; !slices.Equal(names, []string{"web", "admin"}) {
		t.Errorf("names %q", names)
	}
	if again, err := engine.Inherited(); len(again) != 0 || err != nil || os.Getenv("LISTEN_FDS") != "" {
		t.Errorf("Inherited again: %v, %v", again, err)
	}
	s := serve(t, engine.Config{Loops: 1}, echoes)
	for i, address := range strings.Split(os.Getenv("MYRIAD_INHERIT"), ",") {
		nl, err := net.FileListener(files[i])
		if err != nil {
			t.Fatal(err)
		}
		ln, err := engine.ListenConfig{}.Serve(s.Engine, nl, echoes)
		if err != nil {
			t.Fatal(err)
		}
		if ln.String() != address {
			t.Fatalf("socket %d is %v, want %v", i, ln, address)
		}
		s.ln = ln
		ask(t, s.dial(t), "inherited")
	}
}

func TestInheritedOfAnotherProcess(t *testing.T) {
	t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()+1))
	t.Setenv("LISTEN_FDS", "2")
	if files, err := engine.Inherited(); files != nil || err != nil {
		t.Errorf("took %v, %v, which are another process's", files, err)
	}
	t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid()))
	t.Setenv("LISTEN_FDS", "many")
	if _, err := engine.Inherited(); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("LISTEN_FDS=many: %v", err)
	}
}
