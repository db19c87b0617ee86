//go:build linux

// Package proc starts the processes that are measured, and reads what they use from the operating
// system. It is for Linux only.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the CPU time that all threads of a process have used so far, to the nanosecond:
// the clock of clock_getcpuclockid(3). It fails if the process has ended.
func CPUTime(pid int) (time.Duration, error) {
	const processClock = 2 // the scheduler's clock of a whole process: CPUCLOCK_SCHED in the kernel
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|processClock), &ts); err != nil {
		return 0, fmt.Errorf("proc: CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Split returns the CPU time that a process has used in user mode and in the kernel, in steps of 10
// ms: proc_pid_stat(5).
func Split(pid int) (user, system time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("proc: %w", err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go runs on
	// The second field is the name, which may contain anything. These are the fields after it.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) > 12 { // fields 14 and 15 of the line
		u, err1 := strconv.ParseInt(string(f[11]), 10, 64)
		s, err2 := strconv.ParseInt(string(f[12]), 10, 64)
		if err1 == nil && err2 == nil {
			return time.Duration(u) * tick, time.Duration(s) * tick, nil
		}
	}
	return 0, 0, fmt.Errorf("proc: /proc/%d/stat: malformed: %q", pid, stat)
}

// RSS returns the resident memory of a process in bytes. It lets the kernel walk the page tables,
// because the running count may be off by some hundred pages (proc_pid_statm(5)). It uses the count
// where the walk is not permitted.
func RSS(pid int) (int64, error) {
	exact, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if kb, ok := kilobytes(exact, "Rss:"); err == nil && ok {
		return kb << 10, nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("proc: %w", err)
	}
	if kb, ok := kilobytes(status, "VmRSS:"); ok {
		return kb << 10, nil
	}
	return 0, fmt.Errorf("proc: process %d has no memory: it has ended", pid)
}

// kilobytes finds a line such as "Rss:  1234 kB".
func kilobytes(text []byte, name string) (int64, bool) {
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == name {
			kb, err := strconv.ParseInt(string(f[1]), 10, 64)
			return kb, err == nil
		}
	}
	return 0, false
}

// CPUs returns how many processors a process may run on.
func CPUs(pid int) (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		return 0, fmt.Errorf("proc: processors of process %d: %w", pid, err)
	}
	return set.Count(), nil
}

// Pin binds all threads of this process, and those that they will start, to the given processors.
func Pin(cpus ...int) error {
	set, err := setOf(cpus)
	if err != nil {
		return err
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	for _, t := range threads {
		tid, _ := strconv.Atoi(t.Name())
		err := unix.SchedSetaffinity(tid, &set)
		if err != nil && err != unix.ESRCH { // ESRCH: the thread has ended
			return fmt.Errorf("proc: binding to processors %v: %w", cpus, err)
		}
	}
	return nil
}

func setOf(cpus []int) (set unix.CPUSet, err error) {
	for _, c := range cpus {
		set.Set(c)
		if !set.IsSet(c) {
			return set, fmt.Errorf("proc: no processor %d", c)
		}
	}
	return set, nil
}
