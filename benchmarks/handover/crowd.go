//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is a set of clients.
type crowd struct {
	dialer  *dialer
	every   time.Duration // between two rounds of a client, on average
	kinds   []kind
	clients []*client
	nextID  uint64
	running sync.WaitGroup
	resting atomic.Bool

	mu    sync.Mutex
	ended []ending
}

// ending is how a client has ended.
type ending struct {
	client *client
	err    error
}

// openers is how many connections are being opened at a time.
const openers = 64

// oneIn is how many clients there are for one that reads late.
const oneIn = 50

// fill opens connections until there are n.
func (c *crowd) fill(n int) error {
	missing := n - len(c.clients)
	opened := make([]*client, max(missing, 0))
	first := c.nextID
	err := each(len(opened), func(i int) (err error) {
		id := first + uint64(i)
		opened[i], err = c.dialer.dial(id, c.kinds[id%uint64(len(c.kinds))], id%oneIn == oneIn-1)
		return err
	})
	c.nextID += uint64(len(opened))
	if err != nil {
		return fmt.Errorf("cannot connect: %w", err)
	}
	c.clients = append(c.clients, opened...)
	return nil
}

// each calls f for 0 to n-1, several at a time.
func each(n int, f func(i int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range min(openers, n) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	return failed
}

// once lets each client do rounds, a few clients at a time.
func (c *crowd) once(rounds int) error {
	return each(len(c.clients), func(i int) error {
		for range rounds {
			if err := c.clients[i].round(); err != nil {
				return c.clients[i].told(err)
			}
		}
		return nil
	})
}

// told says which client it was.
func (c *client) told(err error) error {
	return fmt.Errorf("connection %d (%v, %v) in round %d: %w", c.id, c.kind, c.raw.LocalAddr(), c.rounds.Load(), err)
}

// talk lets all clients send and receive until rest.
func (c *crowd) talk() {
	c.resting.Store(false)
	for _, k := range c.clients {
		c.running.Go(func() {
			for !c.resting.Load() {
				time.Sleep(time.Duration(rand.Int64N(int64(2 * c.every))))
				if err := k.round(); err != nil {
					k.raw.Close()
					c.mu.Lock()
					c.ended = append(c.ended, ending{k, k.told(err)})
					c.mu.Unlock()
					return
				}
			}
		})
	}
}

// rest stops them. Each has then got all that it was owed. It returns those that have ended since
// the last rest, and forgets them.
func (c *crowd) rest() (ended []ending) {
	c.resting.Store(true)
	c.running.Wait()
	ended, c.ended = c.ended, nil
	gone := make(map[*client]bool)
	for _, e := range ended {
		gone[e.client] = true
	}
	c.clients = slices.DeleteFunc(c.clients, func(k *client) bool { return gone[k] })
	return ended
}

// failures returns how many clients have ended, and how the first one did.
func (c *crowd) failures() (n int, first error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ended) == 0 {
		return 0, nil
	}
	return len(c.ended), c.ended[0].err
}

// faults returns the ends that no kill explains.
func faults(ended []ending) (err error) {
	for _, e := range ended {
		if errors.As(e.err, new(*fault)) {
			err = errors.Join(err, e.err)
		}
	}
	return err
}

// mark begins to measure how long clients wait.
func (c *crowd) mark() (rounds []int64) {
	for _, k := range c.clients {
		k.worst.Store(0)
	}
	return c.progress()
}

// progress returns how many rounds each client has done.
func (c *crowd) progress() (rounds []int64) {
	for _, k := range c.clients {
		rounds = append(rounds, k.rounds.Load())
	}
	return rounds
}

// lap waits until each client has done two more rounds than at the mark, so that it has begun one
// of them later. It returns the longest wait of each, sorted.
func (c *crowd) lap(rounds []int64) ([]time.Duration, error) {
	waits := make([]time.Duration, len(c.clients))
	for late := time.Now().Add(4*patience + 10*c.every); ; time.Sleep(10 * time.Millisecond) {
		done := 0
		for i, k := range c.clients {
			if k.rounds.Load() >= rounds[i]+2 {
				done++
			}
			waits[i] = time.Duration(k.worst.Load())
		}
		if n, first := c.failures(); n > 0 {
			return nil, fmt.Errorf("%d connections have ended: %w", n, first)
		}
		if done == len(c.clients) {
			slices.Sort(waits)
			return waits, nil
		}
		if time.Now().After(late) {
			return nil, fmt.Errorf("%d of %d connections do not go on", len(c.clients)-done, len(c.clients))
		}
	}
}

// leave closes all connections.
func (c *crowd) leave() error {
	return each(len(c.clients), func(i int) error {
		if err := c.clients[i].close(); err != nil {
			return c.clients[i].told(err)
		}
		return nil
	})
}

// quantiles tells the 50th and the 99th percentile, and the maximum, of what is sorted.
func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	text := ""
	for _, q := range []float64{0.5, 0.99, 1} {
		d := all[int(q*float64(len(all)-1))]
		text += fmt.Sprintf("%.1f / ", float64(d)/float64(time.Millisecond))
	}
	return text[:len(text)-len(" / ")] + " ms"
}
