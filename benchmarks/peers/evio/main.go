// Command evio is a TCP echo server on github.com/tidwall/evio. As its documentation shows, Data
// returns what it gets; with ReuseInputBuffer it gets the loop's buffer instead of a copy. There is
// one loop.
//
// The library writes to a connection only as the answer of that connection's own events, so there
// is no broadcast.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tidwall/evio"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

func main() {
	o := peer.Parse(false)
	log.Fatal(evio.Serve(evio.Events{
		NumLoops: 1,
		Serving: func(s evio.Server) evio.Action {
			fmt.Printf("%s: listening on %v\n", filepath.Base(os.Args[0]), s.Addrs[0])
			return evio.None
		},
		Opened: func(evio.Conn) ([]byte, evio.Options, evio.Action) {
			return nil, evio.Options{ReuseInputBuffer: true}, evio.None
		},
		Data: func(_ evio.Conn, in []byte) ([]byte, evio.Action) { return in, evio.None },
	}, "tcp://"+o.Addr))
}
