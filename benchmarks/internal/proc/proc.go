//go:build linux

// Package proc starts the processes that are measured, and reads from the operating system what they use. It is for Linux.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime is the processor time that all threads of a process have used so far, to the nanosecond: its clock, as
// clock_getcpuclockid(3) names it. That of a process that has ended is an error.
func CPUTime(pid int) (time.Duration, error) {
	const processClock = 2 // the scheduler's clock of a whole process: CPUCLOCK_SCHED in the kernel
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|processClock), &ts); err != nil {
		return 0, fmt.Errorf("proc: processor time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Split is the processor time that a process has used in user mode and in the kernel, in steps of 10 ms: proc_pid_stat(5).
func Split(pid int) (user, system time.Duration, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("proc: %w", err)
	}
	const tick = 10 * time.Millisecond                         // USER_HZ is 100 on every architecture that Go runs on
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before may have anything in it
	if len(f) > 12 {                                           // fields 14 and 15, of which the third is the first here
		u, err1 := strconv.ParseInt(string(f[11]), 10, 64)
		s, err2 := strconv.ParseInt(string(f[12]), 10, 64)
		if err1 == nil && err2 == nil {
			return time.Duration(u) * tick, time.Duration(s) * tick, nil
		}
	}
	return 0, 0, fmt.Errorf("proc: /proc/%d/stat: malformed: %q", pid, stat)
}

// RSS is the resident memory of a process in bytes. It is added up page table by page table, because the kernel's running
// count may be off by some hundred pages (proc_pid_statm(5)); where that is not allowed the count has to do.
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

// CPUs is how many processors a process may run on.
func CPUs(pid int) (int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		return 0, fmt.Errorf("proc: processors of process %d: %w", pid, err)
	}
	return set.Count(), nil
}

// Pin binds all threads of this process to the given processors, and with them those that they will start.
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
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH { // the thread has ended
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
