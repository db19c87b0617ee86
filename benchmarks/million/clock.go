package main

import (
	"math"
	"strconv"
	"time"
)

// What the guest's clock may count.
const (
	clockReal         = "real"         // time, of which an emulated processor takes much
	clockInstructions = "instructions" // of the only processor, a nanosecond for each: neither the emulator nor the host makes them longer
)

// emulation is QEMU's options for the guest's processors, and the frequency of their clock in kHz. The kernel is told of it: left to
// itself it compares the clock with an emulated timer, and if the host is busy meanwhile it gives up, and hangs.
func emulation(clock string, cpus int) (options []string, khz int64) {
	if clock == clockInstructions { // time without any is left out (sleep=off)
		return []string{"-smp", "1", "-accel", "tcg,thread=single,tb-size=256", "-icount", "shift=0,sleep=off"}, 1e6
	}
	return []string{"-smp", strconv.Itoa(cpus), "-accel", "tcg,thread=multi,tb-size=256"}, hostFrequency()
}

// hostFrequency is that of the host's time stamp counter in kHz.
func hostFrequency() int64 {
	from, first := stamp()
	time.Sleep(100 * time.Millisecond)
	to, last := stamp()
	return int64(float64(last-first) * 1e6 / float64(to.Sub(from)))
}

// stamp reads both clocks at the same time, or as near to it as ten attempts come.
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
