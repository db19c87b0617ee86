//go:build linux

package proc_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// TestMain lets the test's own binary be the server that tests start.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("PROC_TEST") == "serve":
		serve(os.Args[1])
	case os.Getenv("PROC_TEST") == "die":
		fmt.Fprintln(os.Stderr, "no such luck")
		os.Exit(3)
	case os.Getenv("PROC_TEST") == "mute":
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// serve accepts for ever, and sends its GOMAXPROCS to each peer.
func serve(addr string) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	for {
		nc, err := ln.Accept()
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(nc, "%d", runtime.GOMAXPROCS(0))
		nc.Close()
	}
}

func start(t *testing.T, mode string, c proc.StartConfig) (*proc.Server, error) {
	t.Helper()
	c.Command = []string{os.Args[0], "{addr}"}
	c.Env = append(c.Env, "PROC_TEST="+mode)
	s, err := proc.Start(c)
	if err == nil {
		t.Cleanup(s.Stop)
	}
	return s, err
}

func TestStart(t *testing.T) {
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !mine.IsSet(cpu) {
		cpu++
	}
	s, err := start(t, "serve", proc.StartConfig{CPUs: []int{cpu}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := proc.CPUs(s.PID); n != 1 || err != nil {
		t.Errorf("the server may run on %d processors, %v; want 1", n, err)
	}
	if n, err := proc.CPUs(os.Getpid()); n != mine.Count() || err != nil {
		t.Errorf("the test may run on %d processors, %v; want %d as before", n, err, mine.Count())
	}
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8)
	n, _ := nc.Read(b)
	nc.Close()
	if string(b[:n]) != "1" {
		t.Errorf("GOMAXPROCS is %q, want 1", b[:n])
	}
	if rss, err := proc.RSS(s.PID); rss < 1<<20 || err != nil {
		t.Errorf("RSS is %d, %v", rss, err)
	}
	s.Stop()
	if _, err := net.Dial("tcp", s.Addr); err == nil {
		t.Error("the server listens after Stop")
	}
	if _, err := proc.CPUTime(s.PID); err == nil {
		t.Error("CPUTime of a process that has ended")
	}
	if _, err := proc.RSS(s.PID); err == nil {
		t.Error("RSS of a process that has ended")
	}
}

func TestStartErrors(t *testing.T) {
	for _, c := range []struct {
		mode, want string
		timeout    time.Duration
	}{
		{mode: "die", want: "no such luck"},
		{mode: "mute", want: "does not listen", timeout: 50 * time.Millisecond},
	} {
		_, err := start(t, c.mode, proc.StartConfig{Timeout: c.timeout})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.mode, err, c.want)
		}
	}
	if _, err := proc.Start(proc.StartConfig{Command: []string{"/nowhere/at/all"}}); err == nil {
		t.Error("Start of a command that does not exist succeeds")
	}
}

// TestTimes lets this process work, and checks that both clocks advance by about the same.
func TestTimes(t *testing.T) {
	pid := os.Getpid()
	cpu0, err := proc.CPUTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	user0, system0, err := proc.Split(pid)
	if err != nil {
		t.Fatal(err)
	}
	const enough = 100 * time.Millisecond
	cpu1 := cpu0
	for x := 1; cpu1-cpu0 < enough; x++ {
		for range 1 << 16 {
			x *= 3
		}
		if cpu1, err = proc.CPUTime(pid); err != nil {
			t.Fatal(err)
		}
	}
	user1, system1, err := proc.Split(pid)
	if err != nil {
		t.Fatal(err)
	}
	if d := user1 + system1 - user0 - system0; d < enough/2 {
		t.Errorf("user and system time grew by %v while the process's clock did by %v", d, cpu1-cpu0)
	}
}
