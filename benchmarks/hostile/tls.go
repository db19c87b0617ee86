package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/engine"
)

const (
	stormSize  = 5000     // handshakes that begin at once
	halfOpen   = 10_000   // handshakes that never end
	halfMemory = 64 << 20 // what these may cost
	halfRest   = 1 << 20  // what may be left of it: pools, and room that maps and slices keep
	rounds     = 3        // of each figure, of which the median counts: the machine has other work
	longTurn   = 10       // buckets of LoopStats.Lags from this on are a millisecond and more
)

var clientConfig = &tls.Config{InsecureSkipVerify: true}

// measureTLS measures how long established connections wait, and for how long the loop computes
// before it looks at them again, while 5,000 clients at a time do a full handshake, over and over;
// and what 10,000 handshakes cost that never end.
func measureTLS() error {
	if err := proc.Pin(1); err != nil {
		return err
	}
	var err error
	for _, s := range []struct {
		name   string
		attack func(address string, until time.Time) (done, failed int)
	}{
		{"nobody", func(string, time.Time) (int, int) { return 0, 0 }},
		{"storms of 5,000 handshakes", func(address string, until time.Time) (done, failed int) {
			return storms(address, stormSize, until)
		}},
	} {
		if strings.Contains(s.name, *only) {
			err = errors.Join(err, measureStorm(s.name, s.attack))
		}
	}
	for _, h := range halves {
		if strings.Contains(h.name, *only) {
			err = errors.Join(err, measureHalf(h.name, h.send))
		}
	}
	return err
}

// storms begins n handshakes at once, and again when all have ended. It returns how many have
// succeeded, and how many have failed.
func storms(address string, n int, until time.Time) (done, failed int) {
	var good, bad atomic.Int64
	for time.Now().Before(until) {
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: clientConfig}
				nc, err := d.Dial("tcp", address)
				if err != nil {
					bad.Add(1)
					return
				}
				good.Add(1)
				nc.Close()
			})
		}
		all.Wait()
	}
	return int(good.Load()), int(bad.Load())
}

// stormReport is what one round of a storm has shown.
type stormReport struct {
	saw          report
	done, failed int
	turns, long  uint64        // of the loop, and those of a millisecond and more
	longest      time.Duration // the upper bound of the bucket
	computedLong uint64        // stretches in which the loop computed for a millisecond and more
	computed     time.Duration // in one stretch, at most
}

func measureStorm(name string, attack func(string, time.Time) (done, failed int)) error {
	var all []stormReport
	for range rounds {
		r, err := storm(attack)
		if err != nil {
			return err
		}
		all = append(all, r)
		fmt.Printf("%s: %v\n", name, r.saw)
		fmt.Printf("    %d handshakes, %d failed; %d stretches of the loop's work, %d of 1 ms and more, "+
			"the longest under %v; it computed for 1 ms and more in %d, for %v at most\n", r.done, r.failed,
			r.turns, r.long, r.longest, r.computedLong, r.computed.Round(10*time.Microsecond))
	}
	p99 := median(all, func(r stormReport) time.Duration { return r.saw.P99 })
	long := median(all, func(r stormReport) uint64 { return r.computedLong })
	fmt.Printf("%s: median of %d: p99 %v, the loop computed for 1 ms and more %d times\n", name, rounds,
		p99.Round(10*time.Microsecond), long)
	switch failed := median(all, func(r stormReport) int { return r.failed }); {
	case failed > stormSize/2:
		return fmt.Errorf("%s: %d handshakes failed: this is no storm", name, failed)
	case p99 > longWait:
		return fmt.Errorf("%s: p99 of %v, want %v", name, p99, longWait)
	case long > 0:
		return fmt.Errorf("%s: the loop computed for 1 ms or more %d times", name, long)
	}
	return nil
}

func storm(attack func(string, time.Time) (done, failed int)) (r stormReport, err error) {
	a, cmd, err := startServer()
	if err != nil {
		return r, err
	}
	defer end(cmd)
	w, err := startWitness(a, cmd.Process.Pid, 10)
	if err != nil {
		return r, err
	}
	before, err := ask(a, "")
	if err != nil {
		return r, err
	}
	r.done, r.failed = attack(a.Echo, time.Now().Add(*period))
	if r.saw, err = w.end(); err != nil {
		return r, err
	}
	after, err := ask(a, "")
	for i := range after.Lags {
		n := after.Lags[i] - before.Lags[i]
		if r.turns += n; n > 0 {
			r.longest = engine.LagBound(i)
		}
		if i > longTurn {
			r.long += n
			r.computedLong += after.Computed[i] - before.Computed[i]
		}
	}
	r.computed = after.MostComputed
	return r, err
}

// halves are handshakes that do not end: what a client sends before it stops.
var halves = []struct {
	name string
	send func(hello []byte) []byte
}{
	{"silent", func([]byte) []byte { return nil }},
	{"half a ClientHello", func(hello []byte) []byte { return hello[:len(hello)/2] }},
	{"a ClientHello", func(hello []byte) []byte { return hello }},
	// Of one that has 16 KiB all but the last byte is there.
	{"the most of a ClientHello", func([]byte) []byte {
		const n = 16 << 10
		b := []byte{22, 3, 1, n >> 8, n & 255, 1, 0, (n - 4) >> 8, (n - 4) & 255}
		return append(b, make([]byte, n-5)...)
	}},
	{"garbage", func([]byte) []byte { return bytes.Repeat([]byte("GARBAGE "), 500) }},
	{"garbage behind a ClientHello", func(hello []byte) []byte {
		return append(bytes.Clone(hello), bytes.Repeat([]byte{23, 3, 3, 0, 9}, 3000)...)
	}},
}

func measureHalf(name string, send func(hello []byte) []byte) error {
	hello, err := clientHello()
	if err != nil {
		return err
	}
	var peaks, rests []int64
	for range rounds {
		peak, rest, err := half(send(hello))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		peaks, rests = append(peaks, peak), append(rests, rest)
	}
	same := func(n int64) int64 { return n }
	peak, rest := median(peaks, same), median(rests, same)
	fmt.Printf("%d times %s: at most %.1f MiB above idle, afterwards %d KiB of heap and stacks (of %v and %v)\n",
		halfOpen, name, float64(peak)/(1<<20), rest>>10, peaks, rests)
	switch {
	case peak > halfMemory:
		return fmt.Errorf("%d times %s took %d bytes, want %d", halfOpen, name, peak, halfMemory)
	case rest > halfRest:
		return fmt.Errorf("%d times %s left %d bytes", halfOpen, name, rest)
	}
	return nil
}

// half opens connections that send b and stop. It returns by how much the resident memory grew
// meanwhile, and the heap and the stacks afterwards.
func half(b []byte) (peak, rest int64, err error) {
	a, cmd, err := startServer()
	if err != nil {
		return 0, 0, err
	}
	defer end(cmd)
	storms(a.Echo, 500, time.Now().Add(time.Millisecond)) // pools and caches are as after work
	before, err := ask(a, "/memory")
	if err != nil {
		return 0, 0, err
	}
	var conns []net.Conn
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
	}()
	look := func() {
		if rss, err := proc.RSS(cmd.Process.Pid); err == nil {
			peak = max(peak, rss-before.RSS)
		}
	}
	for i := range halfOpen {
		nc, err := net.DialTimeout("tcp", a.Echo, 20*time.Second)
		if err != nil {
			return 0, 0, err
		}
		conns = append(conns, nc)
		nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
		nc.Write(b) // an error means that it was closed already
		if i%500 == 0 {
			look()
		}
	}
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		look()
	}
	for _, nc := range conns {
		nc.Close()
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		f, err := ask(a, "")
		if err != nil {
			return 0, 0, err
		}
		if h := f.Handshakes; f.Connected == 0 && h.Open == 0 && h.HeldBytes == 0 {
			break
		} else if time.Now().After(until) {
			return 0, 0, fmt.Errorf("%d connections are left, %d handshakes, %d bytes", f.Connected, h.Open,
				h.HeldBytes)
		}
	}
	after, err := ask(a, "/memory")
	return peak, int64(after.Heap - before.Heap), err
}

// clientHello returns what a client sends first.
func clientHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go tls.Client(ours, clientConfig).Handshake()
	b := make([]byte, 64<<10)
	n, err := io.ReadAtLeast(theirs, b, 5)
	return b[:n], err
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// median returns the median of what f returns for each element.
func median[E any, T int | int64 | uint64 | time.Duration](all []E, f func(E) T) T {
	var values []T
	for _, e := range all {
		values = append(values, f(e))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
