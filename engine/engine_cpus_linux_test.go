package engine_test

import (
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// TestLoopsRunOnTheirCPUs, and nobody else is bound with them.
func TestLoopsRunOnTheirCPUs(t *testing.T) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	var cpus []int
	for cpu := range 1024 {
		if may.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	affinity := func() (set unix.CPUSet) {
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			t.Error(err)
		}
		return set
	}
	s := serve(t, engine.Config{Loops: 3, CPUs: cpus[:1]}, echoes)
	sets := make(chan unix.CPUSet, 1)
	for loop := range 3 {
		s.Post(loop, func() { sets <- affinity() })
		if set := receive(t, "affinity", sets); set.Count() != 1 || !set.IsSet(cpus[0]) {
			t.Errorf("loop %d may run on %d processors", loop, set.Count())
		}
	}
	ask(t, s.dial(t), "bound")
	s.Close()
	for range 20 { // a thread that a loop had must not come back to the pool
		go func() {
			runtime.LockOSThread()
			sets <- affinity()
		}()
		if set := receive(t, "affinity", sets); set.Count() != len(cpus) {
			t.Fatalf("a goroutine was left bound to %d of %d processors", set.Count(), len(cpus))
		}
	}
	if _, err := engine.New(engine.Config{CPUs: []int{1023}}); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a processor that is not there: %v", err)
	}
}

// TestFollowCPU: connections come to the first loop of the processor that the kernel names, however
// unbalanced that is.
func TestFollowCPU(t *testing.T) {
	cpu := 0
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	for !may.IsSet(cpu) {
		cpu++
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	one := unix.CPUSet{}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &may)

	for _, follow := range []bool{false, true} {
		loops := make(chan int, 20)
		s := serve(t, engine.Config{Loops: 2, CPUs: []int{cpu}}, echoes)
		ln, err := engine.ListenConfig{FollowCPU: follow}.Listen(s.Engine, "tcp", "127.0.0.1:0",
			func(c *engine.Conn) engine.Protocol {
				loops <- c.Loop()
				return echoOn(c)
			})
		if err != nil {
			t.Fatal(err)
		}
		address := &unix.SockaddrInet4{Port: int(ln.Addr().Port()), Addr: [4]byte{127, 0, 0, 1}}
		used := [2]int{}
		for range 10 {
			// connected from this thread, so on this processor
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := unix.Connect(fd, address); err != nil {
				t.Fatal(err)
			}
			used[receive(t, "connection", loops)]++
		}
		if want := map[bool][2]int{false: {5, 5}, true: {10, 0}}[follow]; used != want {
			t.Errorf("FollowCPU %v: the loops got %v, want %v", follow, used, want)
		}
	}
}

// TestChildOfABoundLoopIsNotBound if it is started as Config.CPUs says, on another goroutine.
func TestChildOfABoundLoopIsNotBound(t *testing.T) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !may.IsSet(cpu) {
		cpu++
	}
	allowed := func() string {
		b, err := exec.Command("cat", "/proc/self/status").Output()
		if err != nil {
			t.Error(err)
		}
		_, list, _ := strings.Cut(string(b), "Cpus_allowed_list:")
		list, _, _ = strings.Cut(list, "\n")
		return strings.TrimSpace(list)
	}
	want := allowed()
	s := serve(t, engine.Config{Loops: 1, CPUs: []int{cpu}}, echoes)
	got := make(chan string, 1)
	s.Post(0, func() { go func() { got <- allowed() }() })
	if list := receive(t, "child", got); list != want {
		t.Errorf("a child may use processors %s, want %s", list, want)
	}
}
