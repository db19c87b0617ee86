package tlslayer

import (
	"bytes"
	"crypto/cipher"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// nonces counts what AEADs seal with. It is put in front of those of a loop.
type nonces struct {
	t      *testing.T
	used   map[string]bool // key and nonce
	sealed int
}

type countingAEAD struct {
	cipher.AEAD
	key    []byte
	nonces *nonces
}

func (n *nonces) wrap(key []byte, a cipher.AEAD) cipher.AEAD {
	return &countingAEAD{a, bytes.Clone(key), n}
}

func (a *countingAEAD) Seal(dst, nonce, b, data []byte) []byte {
	id := string(a.key) + string(nonce)
	if a.nonces.used[id] {
		a.nonces.t.Errorf("nonce %x is used twice with key %x", nonce, a.key)
	}
	a.nonces.used[id] = true
	a.nonces.sealed++
	return a.AEAD.Seal(dst, nonce, b, data)
}

// TestNoNonceIsUsedTwice has both sides send records of all kinds, with key updates in both
// directions, until the end and after it. Both use the same loop, whose cache is too small.
func TestNoNonceIsUsedTwice(t *testing.T) {
	for _, suite := range testSuites {
		t.Run(suite.name, func(t *testing.T) {
			n := &nonces{t: t, used: make(map[string]bool)}
			shared := newLoop(3, 3)
			shared.wrap = n.wrap
			tw := newTwins(t, suiteConfig(suite.id), true)
			sides := [2]*records{tw.level2, tw.peer}
			for _, r := range sides {
				r.loop = shared
				r.read.cached, r.write.cached = 0, 0
			}
			random := rand.New(rand.NewPCG(1, 2))
			var way [2]receiver
			for i := range way {
				way[i].stream = sides[1-i]
			}
			want, updates := [2][]byte{}, 0
			for range 5000 {
				i := random.IntN(2)
				from := sides[i]
				var b []byte
				switch what := random.IntN(20); {
				case what == 0 && suite.id == 0: // asks for an update
					b = from.updateKey(nil, 1)
					updates++
				case what == 1 && suite.id == 0: // a limit has come
					missing := uint64(rekeyAfter - 2)
					if from.write.seq < missing {
						sides[1-i].read.seq += missing - from.write.seq
						from.write.seq = missing
					}
				case what == 2:
					b = from.Seal(nil, nil)
				default:
					message := pattern(random.IntN(3 * maxPlain / (1 + random.IntN(999))))
					b = from.Seal(nil, message)
					want[i] = append(want[i], message...)
				}
				way[i].feed(b)
				if way[i].err != nil {
					t.Fatal(way[i].err)
				}
			}
			for i, from := range sides {
				way[i].feed(from.SealEnd(nil))
				if way[i].err != io.EOF || !bytes.Equal(way[i].got, want[i]) {
					t.Errorf("error %v, %d bytes, want %d", way[i].err, len(way[i].got), len(want[i]))
				}
				sealed := n.sealed
				if b := from.SealEnd(from.Seal(nil, pattern(9))); len(b) > 0 || n.sealed > sealed {
					t.Error("a record was sealed after the last one")
				}
			}
			for _, r := range sides {
				r.Close()
				if b := r.SealEnd(r.Seal(nil, pattern(9))); len(b) > 0 {
					t.Error("a record was sealed after Close")
				}
			}
			if suite.id == 0 && updates == 0 {
				t.Error("no key was updated")
			}
			t.Logf("%d records, %d updates", n.sealed, updates)
		})
	}
}

// TestUpdateBeforeLimit seals the last records that one key may seal.
func TestUpdateBeforeLimit(t *testing.T) {
	tw := newTwins(t, testConfig(), true)
	from, to := tw.peer, tw.level2
	from.write.seq, to.read.seq = rekeyAfter-1, rekeyAfter-1
	key := from.write.key
	r := receiver{stream: to}
	r.feed(from.Seal(nil, pattern(10)))
	if from.write.key != key {
		t.Fatal("the key was updated too early")
	}
	r.feed(from.Seal(nil, pattern(10)))
	if from.write.key == key || from.write.seq != 1 {
		t.Errorf("the key was not updated: record %d", from.write.seq)
	}
	if r.err != nil || len(r.got) != 20 {
		t.Errorf("error %v, %d bytes", r.err, len(r.got))
	}
}

// TestUpdatesAreAnsweredOnce has a peer ask for several updates before we send anything.
func TestUpdatesAreAnsweredOnce(t *testing.T) {
	tw := newTwins(t, testConfig(), true)
	r := receiver{stream: tw.level2}
	for range 3 {
		r.feed(tw.peer.updateKey(nil, 1))
	}
	if !tw.level2.Pending() {
		t.Fatal("no answer is pending")
	}
	back := receiver{stream: tw.peer}
	answer := tw.level2.Seal(nil, nil)
	if n := recordIn(answer); n == 0 || n != len(answer) || tw.level2.Pending() {
		t.Errorf("%d bytes of answers, the first record has %d", len(answer), n)
	}
	back.feed(answer)
	back.feed(tw.level2.Seal(nil, pattern(7)))
	if back.err != nil || len(back.got) != 7 {
		t.Errorf("error %v, %d bytes", back.err, len(back.got))
	}
}

// TestSealKeepsPlaintext checks that Seal does not write to what it is given, which others may be
// reading, nor behind it.
func TestSealKeepsPlaintext(t *testing.T) {
	for _, suite := range testSuites {
		tw := newTwins(t, suiteConfig(suite.id), true)
		all := pattern(3*maxPlain + 100)
		want := bytes.Clone(all)
		dst := make([]byte, 0, tw.level2.SealedLen(len(all)))
		out := tw.level2.Seal(dst, all[:3*maxPlain])
		if !bytes.Equal(all, want) {
			t.Errorf("%s: the plaintext was changed", suite.name)
		}
		if &out[0] != &dst[:1][0] {
			t.Errorf("%s: SealedLen is too small", suite.name)
		}
	}
}

// TestRecordsSize keeps what an idle connection owns in its size class.
func TestRecordsSize(t *testing.T) {
	if n := unsafe.Sizeof(records{}); n > 240 {
		t.Errorf("records has %d bytes", n)
	}
}

// TestRecordsDoNotAllocate seals and opens with keys that are in the loop's cache.
func TestRecordsDoNotAllocate(t *testing.T) {
	for _, suite := range testSuites {
		tw := newTwins(t, suiteConfig(suite.id), true)
		message := pattern(3*maxPlain + 9)
		buf := make([]byte, 0, tw.peer.SealedLen(len(message)))
		n := testing.AllocsPerRun(100, func() {
			out := tw.peer.Seal(buf, message)
			if from, to, _, err := tw.level2.Open(out, 0); err != nil || to-from != len(message) {
				t.Fatal(err, to-from)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", suite.name, n)
		}
	}
}

// TestCacheGrowsForBusyConnections uses keys in turn: more than fit are soon needed again, and make
// the cache grow, but not those that are used once, or rarely.
func TestCacheGrowsForBusyConnections(t *testing.T) {
	s := &suites[0]
	l := newLoop(cacheMin, cacheMax)
	all := make([]half, 2*cacheMax)
	use := func(hs []half) (made int) {
		for i := range hs {
			if l.find(&hs[i]) == nil {
				made++
			}
			l.aead(s, &hs[i])
		}
		return made
	}
	for range 3 {
		use(all)
	}
	if n := l.places; n != cacheMin {
		t.Errorf("%d entries after %d rare connections", n, len(all))
	}
	for range 3 {
		use(all[:4000])
	}
	if n, made := l.places, use(all[:4000]); n > 4100 || made > 100 {
		t.Errorf("%d entries for 4000 busy halves, of which %d are not there", n, made)
	}
	for i := range all {
		l.forget(&all[i])
	}
	for i := range l.places {
		if l.entry(i).of != nil {
			t.Errorf("entry %d is still used", i)
		}
	}
}

// TestCacheShrinks: a loop kept 6 MiB for ever after a busy minute. What is still used stays, and
// a cache that nobody uses is gone after two cycles of the garbage collector, without a turn of its
// loop.
func TestCacheShrinks(t *testing.T) {
	s := &suites[0]
	l := newLoop(cacheMin, cacheMax)
	all := make([]half, 4000)
	for range 3 {
		for i := range all {
			l.aead(s, &all[i])
		}
	}
	pages := func() (n int) {
		for i := range l.pages {
			if l.pages[i].Load() != nil {
				n++
			}
		}
		return n
	}
	if n := pages(); n < 4000/pageLen {
		t.Fatalf("%d pages", n)
	}
	used := &all[0]
	l.aead(s, used)
	l.sweep()
	l.aead(s, used)
	l.sweep()
	if n := pages(); n != 1 || l.find(used) == nil {
		t.Errorf("%d pages of which one is used", n)
	}
	rest := all[1000:1500]
	for i := range rest {
		l.aead(s, &rest[i])
		if l.find(&rest[i]) == nil {
			t.Fatalf("key %d has no place", i)
		}
	}
	if l.places > cacheMin+pageLen {
		t.Errorf("%d places", l.places)
	}

	l.sweepWithGarbage()
	for deadline := time.Now().Add(20 * time.Second); pages() > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d pages are left", pages())
		}
	}
	for i := range all {
		l.aead(s, &all[i]) // it is as it was
		l.forget(&all[i])
	}
}
