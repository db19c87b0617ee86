package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/wsproto"
)

// startServer starts the server in a process of its own.
func startServer() (a addresses, cmd *exec.Cmd, err error) { return startServerOn(0) }

func startServerOn(processor int) (a addresses, cmd *exec.Cmd, err error) {
	const idle = 10 << 20
	cmd = exec.Command(os.Args[0], "-serve", fmt.Sprintf("-budget=%d", *budget), fmt.Sprintf("-fair=%t", *fair),
		fmt.Sprintf("-tls=%t", *secure), fmt.Sprintf("-on=%d", processor))
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", *budget*23/20+idle), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		err = json.NewDecoder(out).Decode(&a)
	}
	return a, cmd, err
}

func ask(a addresses, path string) (f figures, err error) {
	res, err := http.Get(a.Figures + path)
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&f); err != nil {
		return f, err
	}
	if f.Error != "" {
		return f, fmt.Errorf("the server's figures: %s", f.Error)
	}
	return f, nil
}

// keep opens n connections that attack, as fast as the server takes them, again when one was
// closed.
func keep(n int, attack func(addresses) (net.Conn, error), a addresses, until time.Time, open *atomic.Int64) {
	for range n {
		if time.Now().After(until) {
			return
		}
		nc, err := attack(a)
		if err == nil {
			open.Add(1)
		}
		if nc != nil {
			defer nc.Close()
		}
	}
	time.Sleep(time.Until(until))
}

// openers is how many connections of a kind are being opened at the same time.
const openers = 100

func measureMemory() error {
	if err := proc.Pin(1); err != nil {
		return err
	}
	a, cmd, err := startServer()
	if err != nil {
		return err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	time.Sleep(time.Second)
	before, err := ask(a, "")
	if err != nil {
		return err
	}
	idle, err := proc.RSS(cmd.Process.Pid)
	if err != nil {
		return err
	}
	until := time.Now().Add(*period)
	var attackers atomic.Int64
	w, err := startWitness(a, cmd.Process.Pid, 10)
	if err != nil {
		return err
	}
	// What those see who talk to a server that nobody attacks, on the attackers' processor, is how
	// long the others wait because of that processor.
	a2, cmd2, err := startServerOn(1)
	if err != nil {
		return err
	}
	defer end(cmd2)
	floor, err := startWitness(a2, cmd2.Process.Pid, 10)
	if err != nil {
		return err
	}
	most, asked, err := attackMemory(a, cmd.Process.Pid, until, &attackers)
	if err != nil {
		return err
	}
	part, err := partAtPeak(a, before, asked)
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	after, err := ask(a, "")
	if err != nil {
		return err
	}
	fmt.Printf("afterwards %d bytes are held\n", after.Held)
	bound := idle + int64(*budget)*5/4
	fmt.Printf("%d attackers: RSS at most %d MiB; idle %d MiB, budget %d MiB, bound %d MiB\n", attackers.Load(),
		most>>20, idle>>20, *budget>>20, bound>>20)
	saw, err := w.end()
	fmt.Println("well-behaved:", saw)
	idler, err2 := floor.end()
	fmt.Println("beside them, with an idle server:", idler)
	err = errors.Join(err, err2)
	switch {
	case err != nil:
		return err
	case most > bound:
		return fmt.Errorf("RSS of %d bytes, over %d", most, bound)
	case part < .9:
		return fmt.Errorf("%.2f of the heap are counted by Stats, want 0.9", part)
	case saw.P99 > longWait:
		return fmt.Errorf("p99 of well-behaved connections is %v, want %v", saw.P99, longWait)
	}
	return nil
}

// askedAt is when the server was asked what it holds.
type askedAt struct {
	came int64         // attackers
	left time.Duration // before the end
}

// attackMemory attacks until the time until, and returns the most resident memory that the server
// had.
func attackMemory(a addresses, pid int, until time.Time, attackers *atomic.Int64) (most int64,
	asked askedAt, err error) {
	var all sync.WaitGroup
	for range openers {
		all.Go(func() { keep(*peers/openers, stop, a, until, attackers) })
		all.Go(func() { keep(*peers/10/openers, stream, a, until, attackers) })
		all.Go(func() { keep(*peers/10/openers, listen, a, until, attackers) })
	}
	all.Go(func() { datagrams(a, until) })
	var askErr error
	for time.Now().Before(until) {
		time.Sleep(100 * time.Millisecond)
		rss, err := proc.RSS(pid)
		if err != nil {
			return most, asked, err
		}
		most = max(most, rss)
		if n := attackers.Load(); asked.left == 0 && (n >= int64(*peers) || time.Until(until) < *period/2) {
			asked = askedAt{n, time.Until(until)}
			all.Go(func() { askErr = begin(a) })
		}
	}
	all.Wait()
	return most, asked, askErr
}

// begin makes the server find out what it holds, and then block its second loop.
func begin(a addresses) error {
	res, err := http.Get(a.Figures + "/peak")
	if err == nil {
		res.Body.Close()
	}
	return err
}

// partAtPeak returns what part of its heap Stats has counted when the server was asked.
func partAtPeak(a addresses, before figures, at askedAt) (part float64, err error) {
	f, err := ask(a, "/seen")
	if err != nil {
		return 0, err
	}
	part = float64(f.Buffered) / float64(f.Heap-before.Heap)
	fmt.Printf("%v before the end, %d attackers had come, %d connections were open, limits had closed %d: "+
		"heap %d MiB above idle, Stats counted %d MiB of it, %.2f (posted %d MiB); found out within %v\n",
		at.left.Round(time.Second/10), at.came, f.Connected, f.Closed, (f.Heap-before.Heap)>>20, f.Buffered>>20, part,
		f.Posted>>20, f.Took.Round(time.Second/100))
	return part, nil
}

var (
	largeBomb = sync.OnceValue(func() []byte { return packed(1<<20, true) })
	smallBomb = sync.OnceValue(func() []byte { return packed(64<<10, true) })
	blocks    = sync.OnceValue(func() []byte { return emptyBlocks(1 << 20) })
)

// attacks are those that shall not make others wait.
var attacks = []struct {
	name string
	run  func(a addresses, until time.Time)
}{
	{"nobody", func(addresses, time.Time) {}},
	{"bombs of 1 MiB", func(a addresses, until time.Time) { repeat(a.Echo, true, largeBomb(), until) }},
	{"bombs of 64 KiB", func(a addresses, until time.Time) { repeat(a.Echo, true, smallBomb(), until) }},
	{"empty blocks", func(a addresses, until time.Time) { repeat(a.Echo, true, blocks(), until) }},
	{"empty blocks, streamed", func(a addresses, until time.Time) { repeat(a.Stream, true, blocks(), until) }},
	{"pings", func(a addresses, until time.Time) {
		repeat(a.Echo, false, frame(wsproto.Header{Fin: true, Opcode: wsproto.Ping}, nil), until)
	}},
	{"tiny messages", func(a addresses, until time.Time) {
		repeat(a.Echo, false, frame(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, []byte{1}), until)
	}},
	{"slow readers of a broadcast", func(a addresses, until time.Time) {
		keep(*peers/16, listen, a, until, new(atomic.Int64))
	}},
}

func measureWaiting() error {
	if err := proc.Pin(1); err != nil {
		return err
	}
	var slow error
	for _, attack := range attacks {
		if !strings.Contains(attack.name, *only) {
			continue
		}
		for _, n := range []int{1, 16} {
			saw, err := waitDuring(attack.run, n)
			if err != nil {
				return err
			}
			fmt.Printf("%-28s %2d attackers: %v\n", attack.name, n, saw)
			if saw.P99 > longWait || saw.Server > longWait || saw.Echoes == 0 {
				slow = errors.Join(slow, fmt.Errorf("%s, %d attackers: another peer waited longer than %v",
					attack.name, n, longWait))
			}
		}
	}
	return slow
}

func waitDuring(attack func(a addresses, until time.Time), n int) (saw report, err error) {
	a, cmd, err := startServer()
	if err != nil {
		return saw, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	w, err := startWitness(a, cmd.Process.Pid, 1)
	if err != nil {
		return saw, err
	}
	until := time.Now().Add(*period)
	var all sync.WaitGroup
	for range n {
		all.Go(func() { attack(a, until) })
	}
	saw, err = w.end()
	all.Wait()
	return saw, err
}
