package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestOutOfDescriptors: accepting pauses and goes on by itself; connections that are open keep
// working.
func TestOutOfDescriptors(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	first := s.dial(t)
	ask(t, first, "before")
	second := s.dial(t) // its descriptor exists; the server's end is accepted below or not at all
	ask(t, second, "before")

	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	third, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(third)
	limited := syscall.Rlimit{Cur: uint64(third + 1), Max: old.Max} // every lower one is taken
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	err = syscall.Connect(third, &syscall.SockaddrInet4{Port: int(s.ln.Addr().Port()), Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		eventually(t, "log of EMFILE", func() bool { return len(s.log.String()) > 0 })
	}
	ask(t, first, "meanwhile")
	logged := len(s.log.String())
	if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); e != nil {
		t.Fatal(e)
	}
	if err != nil {
		t.Fatal(err)
	}
	if logged > 1000 {
		t.Errorf("%d bytes of log", logged)
	}
	if _, err := syscall.Write(third, []byte("x")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if n, err := syscall.Read(third, b); n != 1 || err != nil {
		t.Fatalf("the connection that had to wait: %d, %v", n, err)
	}
}

// TestLastingShortageRefuses: after a second without descriptors, peers that wait in the backlog
// are told so by an end of file. Connections that are open keep working, and the log stays short.
func TestLastingShortageRefuses(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return &small{c} })
	first := s.dial(t)
	ask(t, first, "before")
	var peers []int
	for range 20 {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		peers = append(peers, fd)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	limited := syscall.Rlimit{Cur: uint64(peers[len(peers)-1] + 1), Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	address := &syscall.SockaddrInet4{Port: int(s.ln.Addr().Port()), Addr: [4]byte{127, 0, 0, 1}}
	var failed []error
	for _, fd := range peers {
		if err := syscall.Connect(fd, address); err != nil {
			failed = append(failed, err)
		}
	}
	timeout := syscall.NsecToTimeval(patience.Nanoseconds())
	for _, fd := range peers {
		if len(failed) > 0 {
			break
		}
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout)
		n, err := syscall.Read(fd, make([]byte, 1))
		for err == syscall.EINTR { // a read with a timeout is not restarted behind a signal
			n, err = syscall.Read(fd, make([]byte, 1))
		}
		if n != 0 || err != nil {
			failed = append(failed, fmt.Errorf("%d bytes, %w", n, err))
		}
	}
	ask(t, first, "meanwhile")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if len(failed) > 0 {
		t.Fatalf("%d of %d were not refused in order: %v", len(failed), len(peers), failed[0])
	}
	if n := len(s.log.String()); n == 0 || n > 1000 {
		t.Errorf("%d bytes of log", n)
	}
	ask(t, s.dial(t), "after")
}

// TestEngineThatNeverRanLeavesNothing runs in a process of its own: here, what tests before it have
// left may still be closed meanwhile.
func TestEngineThatNeverRanLeavesNothing(t *testing.T) {
	const alone = "MYRIAD_ALONE"
	if os.Getenv(alone) == "" {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(os.Environ(), alone+"=yes")
		if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r, w, err := os.Pipe() // the runtime's poller, which has descriptors of its own, begins now
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before := descriptors(t)
	eng, err := engine.New(engine.Config{Loops: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Listen("tcp", "127.0.0.1:0", echoes); err != nil {
		t.Fatal(err)
	}
	if err := eng.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if after := descriptors(t); after != before {
		t.Fatalf("%d descriptors, %d before", after, before)
	}
}

// needOption skips a test of what an optional socket option does where the kernel does not have it.
func needOption(t *testing.T, kind, level, option, value int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptInt(fd, level, option, value); err != nil {
		t.Skipf("the kernel does not have socket option %d of level %d: %v", option, level, err)
	}
}

// TestDeferAccept: a peer that says nothing is not accepted before one that came later and does.
func TestDeferAccept(t *testing.T) {
	needOption(t, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1)
	s := serve(t, engine.Config{Loops: 1}, echoes)
	ln, err := engine.ListenConfig{DeferAccept: time.Hour}.Listen(s.Engine, "tcp", "127.0.0.1:0", echoes)
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	silent := s.dial(t)
	ask(t, s.dial(t), "hello")
	if n := stats(t, s.Engine).Accepted; n != 1 {
		t.Errorf("%d connections were accepted, want the one that said something", n)
	}
	ask(t, silent, "hello at last")
}
