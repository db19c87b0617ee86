package nats

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	nodeName    = 16 // bytes of Broker.node
	originsFew  = 8  // origins that are not worth looking for old ones
	repeatsKept = 32 // per topic
)

// origins are the newest packs of a topic, one per node that published lately. A node numbers its
// packs and has one per topic on its way, so a pack that comes behind a newer one of its node was
// stored twice, or given up and stored late. The stream recognizes what is sent again as long as it
// knows the identifiers. It may lose them, and messages with them, when its leader dies.
type origins map[string]*origin

// origin is the newest pack of a node.
type origin struct {
	token uint64 // in the pack's identifier
	seq   uint64 // where it is stored; 0 in an epoch before
	at    time.Time
}

// take reports whether the pack with an identifier and a sequence was not there before, and notes
// it. Packs that no Broker has made have other identifiers, or none: they are all new.
func (o *origins) take(id string, seq uint64, now time.Time) bool {
	node, token, ok := cutID(id)
	if !ok {
		return true
	}
	last := (*o)[node]
	if last == nil {
		o.makeRoom(now)
		last = new(origin)
		(*o)[strings.Clone(node)] = last // the identifier is part of a message's headers
	} else if token <= last.token {
		return seq <= last.seq
	}
	*last = origin{token, seq, now}
	return true
}

// makeRoom forgets nodes of whose packs none can be on its way any more.
func (o *origins) makeRoom(now time.Time) {
	if *o == nil {
		*o = make(origins)
	}
	if len(*o) < originsFew {
		return
	}
	for node, last := range *o {
		if now.Sub(last.at) > dedupeWindow {
			delete(*o, node)
		}
	}
}

// reset notes that the stream has begun anew: whatever it has of old packs was there before.
func (o origins) reset() {
	for _, last := range o {
		last.seq = 0
	}
}

// isRepeat reports whether a pack of the topic was there before, and notes it.
func (t *subscription) isRepeat(id string, seq uint64, now time.Time) bool {
	if slices.Contains(t.repeats, seq) {
		return true
	}
	if t.origins.take(id, seq, now) {
		return false
	}
	if len(t.repeats) == repeatsKept {
		t.repeats = slices.Delete(t.repeats, 0, 1)
	}
	t.repeats = append(t.repeats, seq)
	return true
}

// cutID returns the parts of a pack's identifier. Those of other publishers may look alike, but
// they are not in the letters of rand.Text, and their numbers need not grow.
func cutID(id string) (node string, token uint64, ok bool) {
	if len(id) <= nodeName || strings.Trim(id[:nodeName], "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", 0, false
	}
	token, err := strconv.ParseUint(id[nodeName:], 36, 64)
	return id[:nodeName], token, err == nil
}
