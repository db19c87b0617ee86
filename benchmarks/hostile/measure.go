package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/wsproto"
)

// startServer starts the server in a process of its own.
func startServer() (a addresses, cmd *exec.Cmd, err error) {
	const idle = 10 << 20
	cmd = exec.Command(os.Args[0], "-serve", fmt.Sprintf("-budget=%d", *budget))
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", *budget*23/20+idle))
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

// waits collects how long well-behaved connections wait for their echo.
type waits struct {
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) at(part float64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == 0 {
		return 0
	}
	slices.Sort(w.all)
	return w.all[min(len(w.all)-1, int(part*float64(len(w.all))))]
}

// behave asks for an echo every few milliseconds, on connections of the first loop.
func (w *waits) behave(a addresses, until time.Time) error {
	var nc net.Conn
	b, hello := make([]byte, 100), frame(wsproto.Header{Fin: true, Opcode: wsproto.Text}, []byte("loop"))
	for {
		var err error
		var r io.Reader
		if nc, r, err = open(a.Echo, false); err != nil {
			return err
		}
		nc.Write(hello)
		if _, err := io.ReadFull(r, b[:3]); err != nil {
			return err
		}
		if b[2] == 0 {
			break
		}
		defer nc.Close() // so that the next one goes elsewhere
	}
	defer nc.Close()
	text := frame(wsproto.Header{Fin: true, Opcode: wsproto.Text}, []byte("hello, world"))
	for time.Now().Before(until) {
		begin := time.Now()
		nc.Write(text)
		if _, err := io.ReadFull(nc, b[:14]); err != nil {
			return fmt.Errorf("a well-behaved connection was closed: %w", err)
		}
		d := time.Since(begin)
		w.mu.Lock()
		w.all = append(w.all, d)
		w.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	return nil
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

func measureMemory() error {
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
	w, failed := &waits{}, make(chan error, 100)
	for range 10 {
		all.Go(func() { failed <- w.behave(a, until) })
	}
	time.Sleep(200 * time.Millisecond)
	for range 16 {
		all.Go(func() { keep(*peers/16, stop, a, until, &attackers) })
		all.Go(func() { keep(*peers/160, stream, a, until, &attackers) })
		all.Go(func() { keep(*peers/160, listen, a, until, &attackers) })
	}
	all.Go(func() { datagrams(a, until) })
	var most int64
	part, asked := 0.0, false
	for time.Now().Before(until) {
		time.Sleep(100 * time.Millisecond)
		rss, err := proc.RSS(cmd.Process.Pid)
		if err != nil {
			return err
		}
		most = max(most, rss)
		if asked || time.Until(until) > *period*2/3 {
			continue
		}
		asked = true
		f, err := ask(a)
		if err != nil {
			return err
		}
		part = float64(f.Buffered) / float64(f.Heap-before.Heap)
		fmt.Printf("heap %d MiB above idle, Stats counts %d MiB of it (posted %d MiB), %d closed by limits\n",
			(f.Heap-before.Heap)>>20, f.Buffered>>20, f.Posted>>20, f.Closed)
		http.Get(a.Figures + "/block") // now that most have arrived
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
	fmt.Printf("well-behaved: %d echoes, p50 %v, p99 %v, max %v\n", len(w.all), w.at(.5), w.at(.99), w.at(1))
	for range 10 {
		err = errors.Join(err, <-failed)
	}
	switch {
	case err != nil:
		return err
	case most > bound:
		return fmt.Errorf("RSS of %d bytes, over %d", most, bound)
	case part < .9:
		return fmt.Errorf("Stats counts %.2f of the heap, want 0.9", part)
	case w.at(.99) > 20*time.Millisecond:
		return fmt.Errorf("p99 of well-behaved connections is %v, want 20 ms", w.at(.99))
	}
	return nil
}

func measureWaiting() error {
	var slow error
	one := frame(wsproto.Header{Fin: true, Opcode: wsproto.Binary}, []byte{1})
	ping := frame(wsproto.Header{Fin: true, Opcode: wsproto.Ping}, nil)
	for _, attack := range []struct {
		name string
		run  func(a addresses, until time.Time)
	}{
		{"nobody", func(addresses, time.Time) {}},
		{"bombs of 1 MiB", func(a addresses, until time.Time) { repeat(a.Echo, true, packed(1<<20, true), until) }},
		{"bombs of 64 KiB", func(a addresses, until time.Time) { repeat(a.Echo, true, packed(64<<10, true), until) }},
		{"pings", func(a addresses, until time.Time) { repeat(a.Echo, false, ping, until) }},
		{"tiny messages", func(a addresses, until time.Time) { repeat(a.Echo, false, one, until) }},
		{"slow readers of a broadcast", func(a addresses, until time.Time) {
			keep(*peers/16, listen, a, until, new(atomic.Int64))
		}},
	} {
		for _, n := range []int{1, 16} {
			a, cmd, err := startServer()
			if err != nil {
				return err
			}
			until, w := time.Now().Add(*period), &waits{}
			var all sync.WaitGroup
			all.Go(func() { w.behave(a, until) })
			for range n {
				all.Go(func() { attack.run(a, until) })
			}
			all.Wait()
			cmd.Process.Kill()
			cmd.Wait()
			fmt.Printf("%-28s %2d attackers: %5d echoes, p50 %v, p99 %v, max %v\n", attack.name, n, len(w.all),
				w.at(.5), w.at(.99), w.at(1))
			if d := w.at(1); d > 20*time.Millisecond || len(w.all) == 0 {
				slow = errors.Join(slow, fmt.Errorf("%s, %d attackers: another peer waited for %v", attack.name, n, d))
			}
		}
	}
	return slow
}
