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
func startServer() (a addresses, cmd *exec.Cmd, err error) {
	const idle = 10 << 20
	cmd = exec.Command(os.Args[0], "-serve", fmt.Sprintf("-budget=%d", *budget), fmt.Sprintf("-fair=%t", *fair),
		fmt.Sprintf("-tls=%t", *secure))
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

func ask(a addresses) (f figures, err error) {
	res, err := http.Get(a.Figures)
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	return f, json.NewDecoder(res.Body).Decode(&f)
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
	before, err := ask(a)
	if err != nil {
		return err
	}
	idle, err := proc.RSS(cmd.Process.Pid)
	if err != nil {
		return err
	}
	until := time.Now().Add(*period)
	var all sync.WaitGroup
	var attackers atomic.Int64
	w, err := startWitness(a, cmd.Process.Pid, 10)
	if err != nil {
		return err
	}
	for range openers {
		all.Go(func() { keep(*peers/openers, stop, a, until, &attackers) })
		all.Go(func() { keep(*peers/10/openers, stream, a, until, &attackers) })
		all.Go(func() { keep(*peers/10/openers, listen, a, until, &attackers) })
	}
	all.Go(func() { datagrams(a, until) })
	var most int64
	part, partErr, asked := 0.0, error(nil), false
	for time.Now().Before(until) {
		time.Sleep(100 * time.Millisecond)
		rss, err := proc.RSS(cmd.Process.Pid)
		if err != nil {
			return err
		}
		most = max(most, rss)
		if arrived := attackers.Load() >= int64(*peers); asked || !arrived && time.Until(until) > *period/3 {
			continue
		}
		asked = true
		all.Go(func() { part, partErr = askAtPeak(a, before, until, &attackers) })
	}
	all.Wait()
	time.Sleep(2 * time.Second)
	after, err := ask(a)
	if err != nil {
		return err
	}
	fmt.Printf("afterwards %d bytes are held\n", after.Held)
	bound := idle + int64(*budget)*5/4
	fmt.Printf("%d attackers: RSS at most %d MiB; idle %d MiB, budget %d MiB, bound %d MiB\n", attackers.Load(),
		most>>20, idle>>20, *budget>>20, bound>>20)
	saw, err := w.end()
	fmt.Println("well-behaved:", saw)
	switch {
	case err != nil:
		return err
	case partErr != nil:
		return partErr
	case most > bound:
		return fmt.Errorf("RSS of %d bytes, over %d", most, bound)
	case part < .9:
		return fmt.Errorf("%.2f of the heap are counted by Stats, want 0.9", part)
	case saw.P99 > longWait:
		return fmt.Errorf("p99 of well-behaved connections is %v, want %v", saw.P99, longWait)
	}
	return nil
}

// askAtPeak asks the server what it holds when most attackers have come, and what part of its heap
// Stats counts. Then the server begins to block its second loop.
func askAtPeak(a addresses, before figures, until time.Time, attackers *atomic.Int64) (part float64, err error) {
	f, err := ask(a)
	if err != nil {
		return 0, err
	}
	part = float64(f.Buffered) / float64(f.Heap-before.Heap)
	fmt.Printf("%v before the end, %d attackers have come, %d connections are open, limits have closed %d: "+
		"heap %d MiB above idle, Stats counts %d MiB of it (posted %d MiB)\n",
		time.Until(until).Round(time.Second/10), attackers.Load(), f.Connected, f.Closed,
		(f.Heap-before.Heap)>>20, f.Buffered>>20, f.Posted>>20)
	_, err = http.Get(a.Figures + "/block")
	return part, err
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
