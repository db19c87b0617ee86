//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// serverConfig is how a server is started.
type serverConfig struct {
	name, addr, control string
	conflate, small     bool // of the Hub only
}

// server is a hub of some library. Clients subscribe to the topic that the path of their URL names,
// except those of Centrifuge, which ask for it.
type server interface {
	// publish sends a message to the subscribers of a topic.
	publish(topic string, data []byte) error
	// subscriptions returns how many there are.
	subscriptions() int
}

// servers are the servers by name.
var servers = map[string]func(serverConfig) (server, error){
	"floor":      newFloor,
	"broadcast":  newBroadcast,
	"topic":      newHub,
	"gorilla":    newGorilla,
	"centrifuge": newCentrifuge,
}

// order is how the servers are listed.
var order = []string{"floor", "broadcast", "topic", "gorilla", "centrifuge"}

// command is what a server is asked by its control socket.
type command struct {
	// Topics is how many topics get Burst messages of Size bytes.
	Topics, Burst, Size int
	// Rate, if not zero, is how many messages per second the first topic gets, for the time For.
	Rate int
	For  time.Duration
}

// answer is what a server says when it has done that.
type answer struct {
	Error         string
	Subscriptions int
	Published     int
	Held          held
}

// held is what a server holds for its slow subscriber, at most.
type held struct {
	Queue  int // bytes in the process
	Kernel int // bytes in the socket's send queue
}

// serve runs a server until its process ends.
func serve(c serverConfig) error {
	// The server must listen on its control socket first: it is taken to be ready when it serves.
	ln, err := net.Listen("unix", c.control)
	if err != nil {
		return err
	}
	begin, ok := servers[c.name]
	if !ok {
		return fmt.Errorf("no server %q", c.name)
	}
	s, err := begin(c)
	if err != nil {
		return err
	}
	nc, err := ln.Accept()
	if err != nil {
		return err
	}
	from, to := json.NewDecoder(nc), json.NewEncoder(nc)
	for {
		var cmd command
		if err := from.Decode(&cmd); err != nil {
			return err
		}
		if err := to.Encode(do(s, cmd)); err != nil {
			return err
		}
	}
}

func do(s server, cmd command) (a answer) {
	var err error
	if cmd.Rate > 0 {
		a, err = stream(s, cmd)
	} else {
		err = publishAll(s, cmd)
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.Subscriptions = s.subscriptions()
	return a
}

// publishAll publishes to all topics.
func publishAll(s server, cmd command) error {
	data := message(cmd.Size)
	for i := range cmd.Topics {
		for range cmd.Burst {
			if err := s.publish(topicName(i), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// stream publishes at a rate, and watches what is held for the slow subscriber.
func stream(s server, cmd command) (a answer, err error) {
	const watchPeriod = 20 * time.Millisecond
	h, isHub := s.(*hub)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	start, watched := time.Now(), time.Now()
	for now := start; now.Sub(start) < cmd.For; now = <-tick.C {
		for due := int(now.Sub(start).Seconds() * float64(cmd.Rate)); a.Published < due; a.Published++ {
			if err := s.publish(topicName(0), message(cmd.Size)); err != nil {
				return a, err
			}
		}
		if isHub && now.Sub(watched) >= watchPeriod {
			watched = now
			h.watch()
		}
	}
	if isHub {
		a.Held = h.mostHeld()
	}
	return a, nil
}

func topicName(i int) string { return fmt.Sprintf("t%d", i) }

// mark precedes the time in a message. It tells messages from whatever a library wraps them in.
const mark = `"at":"`

// message returns a message that has the time, as JSON because Centrifuge needs that.
func message(size int) []byte {
	b := fmt.Appendf(nil, `{`+mark+`%020d","pad":"`, now())
	return append(b, strings.Repeat("x", max(size-len(b)-2, 0))+`"}`...)
}

// now returns the time of a clock that all processes share.
func now() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}
