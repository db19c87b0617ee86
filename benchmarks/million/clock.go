package main

import (
	"math"
	"strconv"
	"time"
)

// What the guest's clock may count.
const (
	// clockReal counts time. An emulated processor needs much of it.
	clockReal = "real"
	// clockInstructions counts instructions of the only processor, a nanosecond for each. Their
	// number does not depend on the emulator or the host.
	clockInstructions = "instructions"
)

// emulation returns QEMU's options for the guest's processors, and the frequency of their clock in
// kHz. The kernel must be told the frequency: otherwise it compares the clock with an emulated
// timer, and hangs if the host is busy meanwhile.
func emulation(clock string, cpus int) (options []string, khz int64) {
	if clock == clockInstructions { // sleep=off leaves out the time without instructions
		return []string{"-smp", "1", "-accel", "tcg,thread=single,tb-size=256", "-icount", "shift=0,sleep=off"}, 1e6
	}
	return []string{"-smp", strconv.Itoa(cpus), "-accel", "tcg,thread=multi,tb-size=256"}, hostFrequency()
}

// hostFrequency returns the frequency of the host's time stamp counter in kHz.
func hostFrequency() int64 {
	from, first := stamp()
	time.Sleep(100 * time.Millisecond)
	to, last := stamp()
	return int64(float64(last-first) * 1e6 / float64(to.Sub(from)))
}

// stamp reads both clocks at the same time: the closest of ten attempts.
func stamp() (at time.Time, tsc uint64) {
	apart := uint64(math.MaxUint64)
	for range 10 {
		before := rdtsc()
		now := time.Now()
		if after := rdtsc(); after-before < apart {
			at, tsc, apart = now, before, after-before
		}
	}
	return at, tsc
}
