// Hostile measures a server under attack: whether its memory stays within the engine's budget
// (Config.MaxBuffered) when peers make it hold as much as they can in every way at once, whether
// Stats knows what they hold, and how long well-behaved connections wait meanwhile.
//
//	go run ./hostile                  # memory
//	go run ./hostile -fair            # waiting, with 1 and with 16 attackers of each kind
//	go run ./hostile -tls             # waiting and memory, with attackers that begin TLS handshakes
//
// The server is this program in a process of its own on the first processor, with GOMEMLIMIT at
// 1.15 times the budget and what it takes when idle. The attackers share the second one with
// another process of this program, which behaves well, waits, and goes first there. Hostile fails
// if a bound is exceeded.
package main

import (
	"flag"
	"fmt"
	"os"
)

var (
	serve  = flag.Bool("serve", false, "be the server")
	budget = flag.Int("budget", 256<<20, "the engine's budget, in bytes")
	peers  = flag.Int("peers", 10_000, "how many peers stop in the middle of a message")
	period = flag.Duration("for", 10e9, "how long an attack lasts")
	fair   = flag.Bool("fair", false, "measure waiting instead of memory")
	secure = flag.Bool("tls", false, "measure TLS handshakes: storms, and some that never end")
	only   = flag.String("only", "", "with -fair or -tls: only attacks whose names contain this")
	behave = flag.String("behave", "", "be the connections that behave well, with the server of this address")
	pid    = flag.Int("pid", 0, "the process of that server")
	conns  = flag.Int("conns", 1, "how many behave well")
	on     = flag.Int("on", 0, "the server's processor")
)

func main() {
	flag.Parse()
	var err error
	switch {
	case *serve && *secure:
		err = runTLSServer()
	case *serve:
		err = runServer()
	case *behave != "":
		err = runWitness()
	case *secure:
		err = measureTLS()
	case *fair:
		err = measureWaiting()
	default:
		err = measureMemory()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}
