//go:build linux

// Handover measures hot restarts: how a process gives its connections to a new one.
//
//	go run ./handover                # 15,000 WebSockets with load, ten handovers in a row
//	go run ./handover -kill 1000     # kill -9 of either process at 1,000 random points
//	go run ./handover -cost          # processor time and memory per connection
//	go run ./handover -floor         # what the system calls of a handover take
//
// Each server is this program in a process of its own, and the clients are in this process. Half of
// the connections have TLS, half have compression with context takeover. The clients send texts,
// binary messages, fragments and pings, some of them cut in the middle of a frame or of a TLS
// record, and compare what comes back with what they have sent. Some read late, so that the server
// has unsent bytes. The program fails if a connection ends, an answer is wrong or missing, or a
// port refuses a connection.
//
// What is measured of a handover: how long it took, how long each connection was frozen (from Save
// in the old process to Load in the new one), and the longest that each client waited for something
// from the server, from the beginning of the handover until each client has had its turn.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// options are the program's flags.
type options struct {
	conns     int
	handovers int
	every     time.Duration // between the messages of a connection
	window    int           // of compression, in bits
	loops     int
	kills     int
	cost      bool
	floor     bool
	kinds     string // with cost, the only kind of connections; empty: all
	profile   string
	serve     serverConfig
}

func main() {
	o := options{}
	flag.IntVar(&o.conns, "conns", 0, "how many connections there are (default 15,000, with -kill 200)")
	flag.IntVar(&o.handovers, "handovers", 10, "how many handovers follow one another")
	flag.DurationVar(&o.every, "every", 2*time.Second, "how often a connection sends something, on average")
	flag.IntVar(&o.window, "window", 15, "the windows of compression have 2 to the power of so many bytes")
	flag.IntVar(&o.loops, "loops", 2, "loops of a server")
	flag.IntVar(&o.kills, "kill", 0, "kill -9 the old or the new process so often, at random points")
	flag.BoolVar(&o.cost, "cost", false, "measure processor time and memory, without load")
	flag.BoolVar(&o.floor, "floor", false, "measure the processor time of a handover's system calls alone")
	flag.StringVar(&o.kinds, "kinds", "", "with -cost: only connections of this kind, such as `TLS, compressed`")
	flag.StringVar(&o.profile, "profile", "", "write CPU profiles of the servers into this `folder`")
	flag.StringVar(&o.serve.path, "serve", "", "be a server that hands over at this `path`")
	flag.StringVar(&o.serve.plain, "plain", "", "`host:port` of the server")
	flag.StringVar(&o.serve.secure, "secure", "", "`host:port` of the server with TLS")
	flag.StringVar(&o.serve.certificate, "certificate", "", "`file` with its certificate and key")
	flag.Parse()
	o.serve.window, o.serve.loops, o.serve.profile = o.window, o.loops, o.profile
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handover:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	switch {
	case o.serve.path != "":
		return serve(o.serve)
	case o.kills > 0:
		o.conns = orDefault(o.conns, 200)
		return killAtRandom(o, out)
	case o.floor:
		return measureFloor(o, out)
	case o.cost:
		o.conns = orDefault(o.conns, 15_000)
		return measureCost(o, out)
	}
	o.conns = orDefault(o.conns, 15_000)
	return handOver(o, out)
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}
