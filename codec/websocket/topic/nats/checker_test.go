package nats

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// checker compares what nodes have published, what was delivered to them, and what they were told.
type checker struct {
	lives []*life
	// What is known to have been stored: by topic and position, the data.
	known map[string]map[topic.Position]string
	order map[string]map[uint64][]uint64 // by topic and epoch
	bad   []string
}

// life is what one process of a node has written.
type life struct {
	name                     string
	whole                    bool                // it was there from the beginning to the end
	killed                   bool                // so that what it had published may be lost
	events                   map[string][]event  // by topic
	published                map[string][]string // by topic
	failed                   map[string]int      // by topic
	messages, gaps, failures int
}

// readLife parses what a node has written.
func readLife(t *testing.T, name string, lines []string) *life {
	t.Helper()
	l := &life{
		name: name, events: map[string][]event{}, published: map[string][]string{},
		failed: map[string]int{},
	}
	for _, line := range lines {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 5)
		switch f[0] {
		case "P":
			l.published[f[1]] = append(l.published[f[1]], strings.Join(f[2:], " "))
		case "F":
			n, err := strconv.Atoi(f[2])
			if err != nil {
				t.Fatal(err)
			}
			l.failed[f[1]] += n
			l.failures += n
		case "S", "M", "G":
			epoch, err1 := strconv.ParseUint(f[2], 10, 64)
			seq, err2 := strconv.ParseUint(f[3], 10, 64)
			if err1 != nil || err2 != nil {
				t.Fatalf("%q", line)
			}
			e := event{kind: f[0][0], topic: f[1], at: topic.Position{Epoch: epoch, Seq: seq}, data: f[4]}
			l.events[e.topic] = append(l.events[e.topic], e)
			switch e.kind {
			case 'M':
				l.messages++
			case 'G':
				l.gaps++
			}
		}
	}
	return l
}

// complain notes a broken promise.
func (c *checker) complain(format string, args ...any) {
	c.bad = append(c.bad, fmt.Sprintf(format, args...))
}

// learn notes that a message is at a position.
func (c *checker) learn(name string, at topic.Position, data string) {
	if c.known == nil {
		c.known = map[string]map[topic.Position]string{}
	}
	all := c.known[name]
	if all == nil {
		all = map[topic.Position]string{}
		c.known[name] = all
	}
	if was, ok := all[at]; ok && was != data {
		c.complain("%s has %q and %q at %v", name, was, data, at)
	}
	all[at] = data
}

// places returns the positions at which a message is known to be.
func (c *checker) places(name, data string) (all []topic.Position) {
	for at, text := range c.known[name] {
		if text == data {
			all = append(all, at)
		}
	}
	return all
}

// check looks for broken promises. stored is what the stream has in the end.
func (c *checker) check(stored map[string][]topic.Message) {
	for name, msgs := range stored {
		for _, m := range msgs {
			c.learn(name, m.Position, string(m.Data))
		}
	}
	for _, l := range c.lives {
		for name, events := range l.events {
			for _, e := range events {
				if e.kind == 'M' {
					c.learn(name, e.at, e.data)
				}
			}
		}
	}
	c.order = map[string]map[uint64][]uint64{}
	for name, all := range c.known {
		c.order[name] = map[uint64][]uint64{}
		for at := range all {
			c.order[name][at.Epoch] = append(c.order[name][at.Epoch], at.Seq)
		}
		for _, seqs := range c.order[name] {
			slices.Sort(seqs)
		}
	}
	for _, l := range c.lives {
		for name, events := range l.events {
			c.checkTopic(l, name, events)
		}
	}
	c.checkPublished()
}

// between reports a message that is stored between two positions of an epoch.
func (c *checker) between(name string, epoch, after, before uint64) (uint64, bool) {
	seqs := c.order[name][epoch]
	i, found := slices.BinarySearch(seqs, after)
	if found {
		i++
	}
	if i < len(seqs) && seqs[i] < before {
		return seqs[i], true
	}
	return 0, false
}

// checkTopic checks what a life was told of one topic.
func (c *checker) checkTopic(l *life, name string, events []event) {
	var last topic.Position
	gap := false
	next := map[string]int{} // by publisher
	for _, e := range events {
		switch e.kind {
		case 'S':
			last = e.at
		case 'G':
			gap = true
		case 'M':
			if e.at.Epoch == last.Epoch && e.at.Seq <= last.Seq {
				c.complain("%s: %s: %v after %v", l.name, name, e.at, last)
			}
			if e.at.Epoch != last.Epoch && !gap {
				c.complain("%s: %s: new epoch without a gap at %v", l.name, name, e.at)
			}
			if missed, ok := c.between(name, last.Epoch, last.Seq, e.at.Seq); ok && !gap {
				c.complain("%s: %s: %v is missing between %v and %v", l.name, name, missed, last, e.at)
			}
			last, gap = e.at, false
			from, number, _ := strings.Cut(e.data, " ")
			n, err := strconv.Atoi(number)
			if err != nil || n < next[from] {
				c.complain("%s: %s: %q is out of order, or a duplicate: at %v, and known at %v",
					l.name, name, e.data, e.at, c.places(name, e.data))
			}
			next[from] = n + 1
		}
	}
	if missed, ok := c.between(name, last.Epoch, last.Seq, 1<<63); ok && !gap && !l.killed {
		c.complain("%s: %s: %v is missing at the end, after %v", l.name, name, missed, last)
	}
}

// checkPublished checks that what was published was stored, or its failure told, or that those who
// did not get it were told of a gap.
func (c *checker) checkPublished() {
	for _, p := range c.lives {
		if p.killed {
			continue
		}
		for name, texts := range p.published {
			stored := map[string]bool{}
			for _, data := range c.known[name] {
				stored[data] = true
			}
			missing := 0
			for _, text := range texts {
				if !stored[text] {
					missing++
				}
			}
			if missing -= p.failed[name]; missing <= 0 {
				continue
			}
			for _, l := range c.lives {
				gap := slices.ContainsFunc(l.events[name], func(e event) bool { return e.kind == 'G' })
				if l.whole && !gap {
					c.complain("%s: %s: %d messages of %s never came", l.name, name, missing, p.name)
				}
			}
		}
	}
}

// TestChecker checks that the checker sees what is wrong.
func TestChecker(t *testing.T) {
	good := "S t 7 10 \nP t a 0\nP t a 1\nM t 7 11 a 0\nM t 7 13 a 1\n"
	for _, c := range []struct {
		name, lines string
		stored      []uint64 // as "b 0", "b 1", ...
		bad         bool
	}{
		{"good", good, nil, false},
		{"missing", good, []uint64{12}, true},
		{"missing at the end", good, []uint64{14}, true},
		{"told at the end", good + "G t 0 0 \n", []uint64{14}, false},
		{"before it began", good, []uint64{9}, false},
		{"another one at the position", good, []uint64{13}, true},
		{"duplicate", good + "M t 7 15 a 1\n", nil, true},
		{"order of positions", good + "M t 7 12 a 2\n", nil, true},
		{"order of a publisher", "S t 7 1 \nM t 7 2 a 1\nM t 7 3 a 0\n", nil, true},
		{"new epoch", good + "M t 8 15 a 2\n", nil, true},
		{"new epoch with a gap", good + "G t 0 0 \nM t 8 15 a 2\n", nil, false},
		{"never stored", good + "P t a 2\n", nil, true},
		{"failure told", good + "P t a 2\nF t 1\n", nil, false},
	} {
		l := readLife(t, "life", strings.SplitAfter(strings.TrimSuffix(c.lines, "\n"), "\n"))
		l.whole = true
		stored := map[string][]topic.Message{}
		for i, seq := range c.stored {
			stored["t"] = append(stored["t"], topic.Message{
				Position: topic.Position{Epoch: 7, Seq: seq}, Data: []byte("b " + strconv.Itoa(i)),
			})
		}
		k := checker{lives: []*life{l}}
		k.check(stored)
		if (len(k.bad) > 0) != c.bad {
			t.Errorf("%s: %v", c.name, k.bad)
		}
	}
}
