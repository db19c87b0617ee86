//go:build linux

// Fanout measures publish and subscribe: what a message to many subscribers costs the server.
//
//	go run ./fanout                  # one topic with 9,000 subscribers
//	go run ./fanout -topics 1000     # 1,000 topics with 9 subscribers each
//	go run ./fanout -burst 16        # 16 messages at once
//	go run ./fanout -slow            # one subscriber that reads 1 % of what the others get
//
// The servers are the Hub of codec/websocket/topic, websocket.Broadcast to a list of connections, a
// hub on gorilla/websocket with two goroutines per client, Centrifuge, and a floor, which does
// nothing but one write(2) per subscriber and message. Each is this program in a process of its own
// on processor 0. The subscribers are on processor 1. They ask for the next messages of each topic
// when all have the last ones, so that no server drops any. With -held they read when the server
// has nothing more to do, so that its writes do not wake them, which on many machines is most of
// what a write costs. The figure is the CPU time of the
// server's process per delivery, what it has of that in user mode, and its ratios to
// websocket.Broadcast and to the Hub in the same round.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// options are the program's flags.
type options struct {
	subscribers int
	topics      int
	burst       int // messages that a topic publishes at once
	held        bool
	size        int // of a message, in bytes
	rounds      int
	period      time.Duration // of one measurement
	slow        bool
	rate        int // of messages, per second, with slow
}

func main() {
	o := options{}
	flag.IntVar(&o.subscribers, "subscribers", 9000, "how many subscribers there are (with -slow 100)")
	flag.IntVar(&o.topics, "topics", 1, "how many topics they share evenly")
	flag.IntVar(&o.burst, "burst", 1, "how many messages each topic publishes at once")
	flag.BoolVar(&o.held, "held", false, "let subscribers read only when the server is idle")
	flag.IntVar(&o.size, "size", 128, "bytes of a message (with -slow 1024)")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each server is measured")
	flag.DurationVar(&o.period, "for", 2*time.Second, "how long it is measured")
	flag.BoolVar(&o.slow, "slow", false, "measure a subscriber that does not keep up")
	flag.IntVar(&o.rate, "rate", 300, "messages per second, with -slow")
	var s serverConfig
	flag.StringVar(&s.name, "serve", "", "be the server with this `name`")
	flag.StringVar(&s.addr, "addr", "", "`host:port` of the server")
	flag.StringVar(&s.control, "control", "", "`path` of the unix socket by which the server is controlled")
	flag.BoolVar(&s.conflate, "conflate", false, "let the server conflate topics")
	flag.BoolVar(&s.small, "small", false, "let the server have small buffers per connection")
	flag.Parse()
	if o.slow {
		set := make(map[string]bool)
		flag.Visit(func(f *flag.Flag) { set[f.Name] = true })
		if !set["subscribers"] {
			o.subscribers = 100
		}
		if !set["size"] {
			o.size = 1024
		}
	}
	var err error
	if s.name != "" {
		err = serve(s)
	} else {
		err = run(o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

// run binds this process to processor 1, measures, and prints a table.
func run(o options, out io.Writer) error {
	if err := proc.Pin(1); err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	if o.slow {
		return measureSlow(o, out)
	}
	return measureFan(o, out)
}
