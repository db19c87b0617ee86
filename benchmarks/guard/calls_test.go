//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// TestCalls compares the system calls that the engine counts with those that strace sees.
func TestCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is missing (Debian: apt-get install strace)")
	}
	ours := servers.WSServer()
	if err := ours.Build(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	b := &bench{built: map[string]*servers.Server{ours.Name: ours}}
	s, err := b.start(ours.Name, "-metrics", figuresSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()

	out := filepath.Join(t.TempDir(), "calls")
	tracer := exec.Command(strace, "-f", "-c", "-U", "name,calls", "-o", out, "-p", fmt.Sprint(s.PID))
	said, err := tracer.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(said).ReadString('\n'); !strings.Contains(line, "attached") {
		tracer.Process.Kill()
		tracer.Wait()
		t.Skipf("strace may not trace a process: %s", line)
	}
	var before, after counters
	if err := before.read(); err != nil {
		t.Fatal(err)
	}
	c := load.Config{Kind: load.Echo, Conns: 1, Size: 32, Duration: 500 * time.Millisecond}
	r, err := b.drive(context.Background(), s, "ws", c)
	if err != nil {
		t.Fatal(err)
	}
	if err := after.read(); err != nil {
		t.Fatal(err)
	}
	tracer.Process.Signal(os.Interrupt)
	tracer.Wait()
	seen, counted := callsOf(t, out), after.calls()-before.calls()
	if seen < counted || seen > counted+counted/10+200 { // sending the figures takes some too
		t.Errorf("strace saw %d reads, writes and polls, the engine counted %d, for %d messages",
			seen, counted, r.Messages)
	}
}

// callsOf adds up the calls in strace's summary that the engine counts.
func callsOf(t *testing.T, file string) (n uint64) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var calls uint64
		fmt.Sscan(line, &name, &calls) // fails in lines of other kinds
		switch name {
		case "read", "readv", "recvfrom", "write", "writev", "sendto", "sendmsg", "epoll_wait", "epoll_pwait",
			"epoll_pwait2", "ppoll":
			n += calls
		}
	}
	return n
}
