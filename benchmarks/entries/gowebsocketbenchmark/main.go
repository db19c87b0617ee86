// Command gowebsocketbenchmark is Myriad's server for lesismal/go-websocket-benchmark: a WebSocket
// echo at /ws of fifty ports. The last of them also answers the HTTP requests by which that suite's
// client asks for the process's number, its use of processors and memory, and profiles.
//
// This file is complete: it can be copied there as frameworks/myriad/server.go.
// docs/benchmarks/others.md says what else has to be changed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	_ "net/http/pprof" // on http.DefaultServeMux
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func main() {
	ports := flag.String("ports", "26001:26050", "first and last `port` to listen on")
	host := flag.String("host", "", "`address` to listen on (default: all)")
	// The suite's scripts give these to every server. They mean nothing here.
	for _, name := range []string{"b", "mrb", "m", "mb"} {
		flag.Int64(name, 0, "ignored")
	}
	for _, name := range []string{"nodelay", "tpn", "reuseport"} {
		flag.Bool(name, true, "ignored")
	}
	flag.Parse()
	var first, last int
	if _, err := fmt.Sscanf(*ports, "%d:%d", &first, &last); err != nil {
		log.Fatalf("-ports %s: %v", *ports, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *host, first, last); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, host string, first, last int) error {
	var u usage
	http.HandleFunc("/init", u.start)
	http.HandleFunc("/ps", u.report)
	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Origins: []string{"*"},
		Handler: http.DefaultServeMux,
	}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		return err
	}
	lc := engine.ListenConfig{DeferAccept: time.Second}
	for port := first; port <= last; port++ {
		if _, err := lc.Listen(eng, "tcp", fmt.Sprintf("%s:%d", host, port), server.Accept); err != nil {
			return err
		}
	}
	fmt.Printf("gowebsocketbenchmark: listening on %s:%d\n", host, last)
	return eng.Run(ctx)
}

// usage is what the process uses, sampled from the first /init on, in the form that the suite
// reads.
type usage struct {
	mu     sync.Mutex
	begun  bool
	CPU    []float64      `json:"cpu"` // percent of one processor
	Memory []memory       `json:"mem"`
	IO     []any          `json:"io"`
	Net    map[string]any `json:"net"`
}

type memory struct {
	RSS uint64 `json:"rss"` // bytes
}

// start answers with the process's number, and samples at the interval that the client asks for.
func (u *usage) start(w http.ResponseWriter, r *http.Request) {
	var asked struct{ PsInterval time.Duration }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.begun {
		u.begun = true
		go u.sample(max(asked.PsInterval, 10*time.Millisecond))
	}
	fmt.Fprint(w, os.Getpid())
}

func (u *usage) report(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	json.NewEncoder(w).Encode(u)
}

// sample adds a sample per interval, for ever.
func (u *usage) sample(interval time.Duration) {
	at, used := time.Now(), processorTime()
	for now := range time.Tick(interval) {
		cpu := processorTime()
		percent := 100 * (cpu - used).Seconds() / now.Sub(at).Seconds()
		at, used = now, cpu
		u.mu.Lock()
		u.CPU, u.Memory = append(u.CPU, percent), append(u.Memory, memory{resident()})
		u.mu.Unlock()
	}
}

// processorTime returns the processor time of the process.
func processorTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// resident returns the resident memory of the process, in bytes.
func resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm") // proc_pid_statm(5): pages
	if err != nil {
		return 0
	}
	var size, pages uint64
	fmt.Sscan(string(b), &size, &pages)
	return pages * uint64(os.Getpagesize())
}
