// Handshakes measures the processor time of a server for a TLS connection that is opened, upgraded
// to WebSocket, used for one echo, and closed: with a full handshake, and with one that resumes a
// session of TLS 1.3. It compares Myriad with gorilla/websocket on net/http, and fails if a bound
// is exceeded.
//
//	go run ./handshakes
//
// The server has the first processor, the clients have the second one.
package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

var (
	clients = flag.Int("clients", 20, "how many connections are opened at a time")
	conns   = flag.Int("conns", 2000, "how many connections are opened in a round")
	rounds  = flag.Int("rounds", 5, "how many rounds, of which the median counts")
)

// kind is a server, with or without resumption.
type kind struct {
	name    string
	program string // of this module or of Myriad's
	resume  bool
	taken   []time.Duration // per connection
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "handshakes:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "handshakes")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "github.com/myriadnet/myriad/examples/wssecho",
		"github.com/myriadnet/myriad/benchmarks/peers/gorilla")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building in the folder benchmarks: %w\n%s", err, out)
	}
	if err := writeCertificate(dir); err != nil {
		return err
	}
	if err := proc.Pin(1); err != nil {
		return err
	}
	kinds := []*kind{
		{name: "Myriad, full", program: "wssecho"},
		{name: "Myriad, resumed", program: "wssecho", resume: true},
		{name: "gorilla, full", program: "gorilla"},
		{name: "gorilla, resumed", program: "gorilla", resume: true},
	}
	for range *rounds {
		for _, k := range kinds {
			if err := k.measure(dir); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	gorilla := kinds[2].median()
	for _, k := range kinds {
		fmt.Printf("%-18s %7v per connection, %.2f of a full one of gorilla (%v to %v)\n", k.name, k.median(),
			float64(k.median())/float64(gorilla), slices.Min(k.taken), slices.Max(k.taken))
	}
	if ours := kinds[0].median(); ours > gorilla*11/10 {
		return errors.New("a full handshake takes more than 1.10 times what gorilla's does")
	}
	if kinds[1].median() >= gorilla {
		return errors.New("a resumed handshake takes more than a full one of gorilla")
	}
	return nil
}

// median returns the median, rounded to microseconds.
func (k *kind) median() time.Duration {
	all := slices.Sorted(slices.Values(k.taken))
	return all[len(all)/2].Round(time.Microsecond)
}

// measure does one round with a server of its own.
func (k *kind) measure(dir string) error {
	server, err := proc.Start(proc.StartConfig{CPUs: []int{0}, Command: []string{filepath.Join(dir, k.program),
		"-addr", "{addr}", "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem")}})
	if err != nil {
		return err
	}
	defer server.Stop()
	caches := make([]tls.ClientSessionCache, *clients)
	for i := range caches {
		if k.resume {
			caches[i] = tls.NewLRUClientSessionCache(1)
		}
	}
	// pools, and the first tickets
	if _, err := openAll(server.Addr, 2**clients, caches); err != nil {
		return err
	}
	before, err1 := proc.CPUTime(server.PID)
	resumed, err2 := openAll(server.Addr, *conns, caches)
	after, err3 := proc.CPUTime(server.PID)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if k.resume != (resumed == *conns) || !k.resume && resumed > 0 {
		return fmt.Errorf("%d of %d connections have resumed a session", resumed, *conns)
	}
	k.taken = append(k.taken, ((after - before) / time.Duration(*conns)).Round(time.Microsecond))
	return nil
}

// openAll opens n connections, one after the other for each of caches, and returns how many have
// resumed a session.
func openAll(address string, n int, caches []tls.ClientSessionCache) (resumed int, err error) {
	var left, count atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	errs := make([]error, len(caches))
	for i, cache := range caches {
		all.Go(func() {
			config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: cache}
			for left.Add(-1) >= 0 && errs[i] == nil {
				var did bool
				if did, errs[i] = openOne(address, config); did {
					count.Add(1)
				}
			}
		})
	}
	all.Wait()
	return int(count.Load()), cmp.Or(errs...)
}
