package buffer

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// check checks the queue's invariants and its bytes.
func (q *Queue) check(t *testing.T, want []byte) {
	t.Helper()
	if q.Len() != len(want) {
		t.Fatalf("Len is %d, want %d", q.Len(), len(want))
	}
	if q.tail == nil {
		if q.n != 0 {
			t.Fatalf("%d bytes in no chunk", q.n)
		}
		return
	}
	var got []byte
	for c := q.tail.next; ; c = c.next {
		if c.r < 0 || c.r > c.w || c.w > len(c.buf) {
			t.Fatalf("chunk r %d w %d size %d", c.r, c.w, len(c.buf))
		}
		got = append(got, c.Bytes()...)
		if c == q.tail {
			break
		}
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("queue holds other bytes than went in: %d, want %d", len(got), len(want))
	}
}

// TestQueueAgainstSlice does the same steps on a Queue and on a slice.
func TestQueueAgainstSlice(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var p Pool
		var q Queue
		var twin []byte
		next := byte(0)
		bytesOf := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = next
				next++
			}
			return b
		}
		for range 200 {
			switch rng.IntN(8) {
			case 7:
				b := bytesOf(1 + rng.IntN(Room))
				q.Reserve(len(b)) // twice, since what is reserved is not in the queue yet
				if r := q.Reserve(len(b)); r == nil || !q.Commit(append(r, b...)) {
					q.Append(&p, b, CorkSize)
				}
				twin = append(twin, b...)
			case 0, 1:
				b := bytesOf(rng.IntN(1 << rng.IntN(18)))
				q.Append(&p, b, 1<<(9+rng.IntN(8)))
				twin = append(twin, b...)
			case 2:
				b := bytesOf(1 + rng.IntN(Room))
				if !q.Commit(append(q.Available(&p), b...)) {
					t.Fatal("Commit refused what Available returned")
				}
				twin = append(twin, b...)
			case 3:
				if n := q.Len(); n > 0 {
					n = 1 + rng.IntN(n)
					q.Discard(&p, n)
					twin = twin[n:]
				}
			case 4:
				if q.Chunks() == 1 && rng.IntN(2) == 0 {
					q.Clear(&p)
					twin = nil
				}
				q.Park(&p)
			case 6:
				b := bytesOf(rng.IntN(3000))
				q.Share(&p, b, false)
				twin = append(twin, b...)
			case 5:
				most := rng.IntN(4000)
				v := q.Vector(make([][]byte, 0, 1+rng.IntN(5)), most)
				if !bytes.HasPrefix(twin, bytes.Join(v, nil)) {
					t.Fatal("Vector is not the beginning of the queue")
				}
				if n := len(bytes.Join(v, nil)); n > most || n < most && len(v) < cap(v) && n < len(twin) {
					t.Fatalf("Vector returns %d bytes of %d, want %d", n, len(twin), most)
				}
			}
			q.check(t, twin)
		}
		q.Release(&p)
		if q.check(t, nil); !q.Empty() || p.Out() != 0 {
			t.Fatalf("%d chunks are out after Release", p.Out())
		}
	}
}

func TestCommitRefusesForeignBytes(t *testing.T) {
	var p Pool
	var q Queue
	if q.Commit([]byte("x")) {
		t.Fatal("an empty queue took foreign bytes")
	}
	b := append(q.Available(&p), make([]byte, CorkSize+1)...) // append had to move it
	if q.Commit(b) {
		t.Fatal("the queue took bytes that lie elsewhere")
	}
	q.check(t, nil)
}

func TestParkGivesCorkBack(t *testing.T) {
	var p Pool
	var q Queue
	q.Append(&p, []byte("the slow reader's last bytes"), CorkSize)
	q.Park(&p)
	if got := q.tail.Cap(); got != 1<<minClass {
		t.Fatalf("28 bytes wait in a chunk of %d", got)
	}
	q.check(t, []byte("the slow reader's last bytes"))
}

func TestPoolKeepsAtMost2MiBOfASize(t *testing.T) {
	var p Pool
	var all []*Chunk
	for range 100 {
		all = append(all, p.Get(CorkSize))
	}
	for _, c := range all {
		p.Put(c)
	}
	n := 0
	for c := p.free[class(CorkSize)]; c != nil; c = c.next {
		n++
	}
	if n != keep/CorkSize {
		t.Fatalf("%d chunks kept, want %d", n, keep/CorkSize)
	}
}

func TestCorkDoesNotAllocate(t *testing.T) {
	var p Pool
	var q Queue
	msg := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() {
		q.Append(&p, msg, CorkSize)
		q.Commit(append(q.Available(&p), msg...))
		q.Discard(&p, q.Len())
	}); n != 0 {
		t.Fatalf("%v allocations per message", n)
	}
}

func BenchmarkCork(b *testing.B) {
	var p Pool
	var q Queue
	msg := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		q.Append(&p, msg, CorkSize)
		q.Discard(&p, q.Len())
	}
}

// TestDropOldestAgainstList checks that DropOldest takes out droppable messages that were not
// begun, oldest first, and that all other bytes stay in order.
func TestDropOldestAgainstList(t *testing.T) {
	type message struct {
		b         []byte
		droppable bool
		begun     bool
	}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var p Pool
		var q Queue
		var twin []message
		for step := range 200 {
			b := bytes.Repeat([]byte{byte(step)}, 1+rng.IntN(2000))
			switch rng.IntN(5) {
			case 0:
				q.Append(&p, b, 512)
				twin = append(twin, message{b: b})
			case 1, 2:
				drop := rng.IntN(2) == 0
				q.Share(&p, b, drop)
				twin = append(twin, message{b: b, droppable: drop})
			case 3:
				n := 0
				if q.Len() > 0 {
					n = rng.IntN(min(q.Len(), 3000) + 1)
				}
				q.Discard(&p, n)
				for n > 0 {
					if n < len(twin[0].b) {
						twin[0].b, twin[0].begun = twin[0].b[n:], true
						break
					}
					n -= len(twin[0].b)
					twin = twin[1:]
				}
			case 4:
				i := slices.IndexFunc(twin, func(m message) bool { return m.droppable && !m.begun })
				if dropped := q.DropOldest(&p); dropped != (i >= 0) {
					t.Fatalf("seed %d: DropOldest answered %v", seed, dropped)
				}
				if i >= 0 {
					twin = slices.Delete(twin, i, i+1)
				}
			}
			var all []byte
			for _, m := range twin {
				all = append(all, m.b...)
			}
			q.check(t, all)
			if p.Out() != q.Chunks() || p.Bytes() != q.Size() {
				t.Fatalf("seed %d: %d chunks of %d bytes are out, the queue has %d of %d", seed, p.Out(), p.Bytes(),
					q.Chunks(), q.Size())
			}
		}
		q.Release(&p)
		if p.Out() != 0 || p.Bytes() != 0 {
			t.Fatalf("%d chunks of %d bytes are out after Release", p.Out(), p.Bytes())
		}
	}
}

// TestHolder checks that Holder finds the largest class, and in it the chunk that is held longest.

// TestSharedMessagesCountOnce: however many queues have one, and until the last has sent it.
func TestSharedMessagesCountOnce(t *testing.T) {
	var p Pool
	queues := make([]Queue, 100)
	first, second := make([]byte, 1000), make([]byte, 2000)
	for i := range queues {
		queues[i].Share(&p, first, false)
		queues[i].Share(&p, second, true)
	}
	if got, want := p.Shared(), len(first)+len(second)+2*messageCost; got != want {
		t.Errorf("%d bytes are shared, want %d", got, want)
	}
	if got, want := p.Bytes(), 2*len(queues)*ChunkCost; got != want {
		t.Errorf("the chunks take %d bytes, want %d", got, want)
	}
	for i := range queues {
		queues[i].DropOldest(&p)
	}
	if got, want := p.Shared(), len(first)+messageCost; got != want {
		t.Errorf("%d bytes are shared when one message was dropped, want %d", got, want)
	}
	for i := range queues {
		queues[i].Release(&p)
	}
	if p.Shared() != 0 || p.Bytes() != 0 {
		t.Errorf("%d bytes and %d shared ones are left", p.Bytes(), p.Shared())
	}
}

// TestDropOldestLooksOnceAtAMessage: behind many that may not be dropped, it does not begin again
// each time.
func TestDropOldestLooksOnceAtAMessage(t *testing.T) {
	var p Pool
	var q Queue
	b := []byte("tick")
	for range 1000 {
		q.Share(&p, b, false)
	}
	last := q.tail
	for range 3 {
		if q.DropOldest(&p) {
			t.Fatal("dropped what may not be dropped")
		}
		if q.tail.next.first.skip != last {
			t.Fatal("looked at all messages, and forgot it")
		}
		q.Share(&p, b, true)
		if !q.DropOldest(&p) || q.tail != last {
			t.Fatal("did not drop the last one")
		}
		q.Discard(&p, len(b))
	}
	q.Discard(&p, q.Len()-len(b)) // the first is the last now, and may not be dropped
	q.Share(&p, b, true)
	if !q.DropOldest(&p) || q.DropOldest(&p) || q.Len() != len(b) {
		t.Fatalf("%d bytes are left", q.Len())
	}
}

// TestChunkCost: it is what the garbage collector counts.
func TestChunkCost(t *testing.T) {
	if n := unsafe.Sizeof(Chunk{}); n > ChunkCost || n <= ChunkCost-16 {
		t.Errorf("a Chunk is %d bytes, and counts as %d", n, ChunkCost)
	}
	if n := unsafe.Sizeof(message{}); n > messageCost || n <= messageCost-16 {
		t.Errorf("a message is %d bytes, and counts as %d", n, messageCost)
	}
}

// TestPrepend puts bytes in front of others, of nothing, and of shared ones that must stay
// droppable.
func TestPrepend(t *testing.T) {
	var p Pool
	var q Queue
	q.Prepend(&p, []byte("c"))
	q.Append(&p, []byte("d"), 512)
	q.Share(&p, []byte("e"), true)
	q.Prepend(&p, []byte("ab"))
	var got []byte
	for _, b := range q.Vector(make([][]byte, 0, 10), math.MaxInt) {
		got = append(got, b...)
	}
	if string(got) != "abcde" || q.Len() != 5 {
		t.Errorf("%q, %d bytes", got, q.Len())
	}
	if p.Bytes() != q.Size() {
		t.Errorf("the queue's chunks take %d bytes, it says %d", p.Bytes(), q.Size())
	}
	if !q.DropOldest(&p) || q.Len() != 4 {
		t.Errorf("%d bytes are left", q.Len())
	}
	q.Release(&p)
	if p.Out() != 0 {
		t.Errorf("%d chunks are left", p.Out())
	}
}

// TestSmallWritesBetweenSharedMessages: a queue of shared messages with a few bytes between each
// two took 64 KiB for those bytes.
func TestSmallWritesBetweenSharedMessages(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes int // between two messages
		most  int // of memory per byte
	}{{"few", 20, 40}, {"more than the first chunk", 600, 8}, {"many", 5000, 4}} {
		t.Run(test.name, func(t *testing.T) {
			var p Pool
			var q Queue
			message, own := make([]byte, 300), 0
			for range 100 {
				q.Share(&p, message, false)
				for range test.bytes / 20 {
					if b := make([]byte, 20); q.Crowded() {
						q.Append(&p, b, CorkSize)
					} else {
						q.Commit(append(q.Available(&p), b...))
					}
					own += 20
				}
			}
			if most := test.most * own; p.Bytes() > most {
				t.Errorf("%d bytes take %d, want at most %d", own, p.Bytes(), most)
			}
		})
	}
}

// TestAbandon: of a queue with very many chunks, only some go back at once. The others do not
// count, and Sweep puts them back.
func TestAbandon(t *testing.T) {
	var p Pool
	message := make([]byte, 100)
	for round := range 3 {
		var queues [5]Queue
		for i := range queues {
			for range 300 * i {
				queues[i].Share(&p, message, false)
				queues[i].Append(&p, message[:50], CorkSize)
			}
		}
		before := p.Out()
		for i := range queues {
			q := &queues[i]
			bytes, size := p.Bytes(), q.Size()
			q.Abandon(&p)
			if q.check(t, nil); !q.Empty() || p.Bytes() != bytes-size {
				t.Fatalf("%d bytes are out, want %d", p.Bytes(), bytes-size)
			}
		}
		if n := before - p.Out(); n > len(queues)*abandonMax || p.Bytes() != 0 || p.Abandoned() != p.Out() {
			t.Fatalf("%d chunks went back, %d are out, %d are abandoned, of %d bytes",
				n, p.Out(), p.Abandoned(), p.Bytes())
		}
		if round == 1 { // others are abandoned before these are swept
			continue
		}
		for p.Sweep(100) {
		}
		if p.Out() != 0 || p.Bytes() != 0 || p.Shared() != 0 || p.Abandoned() != 0 {
			t.Fatalf("%d chunks of %d bytes are out after Sweep, %d bytes are shared", p.Out(), p.Bytes(), p.Shared())
		}
	}
}

// TestOwnedBytesAreNotHandedOutAsMore: a chunk of Own has any size. Back in the pool it must not
// stand for one of the next power of two.
func TestOwnedBytesAreNotHandedOutAsMore(t *testing.T) {
	for _, n := range []int{1, 511, 512, 513, 1000, 1024, 1 << 20, 1<<20 + 1} {
		var p Pool
		var q Queue
		q.Own(&p, make([]byte, n))
		if q.Len() != n || q.Size() != n+ChunkCost || p.Bytes() != q.Size() || p.Shared() != 0 {
			t.Errorf("%d bytes: Len %d, Size %d, Bytes %d, Shared %d", n, q.Len(), q.Size(), p.Bytes(), p.Shared())
		}
		q.Append(&p, []byte("x"), 100)
		q.Release(&p)
		if p.Bytes() != 0 || p.Out() != 0 {
			t.Errorf("%d bytes: %d of %d chunks are left", n, p.Bytes(), p.Out())
		}
		for want := 1; want <= 1<<20; want *= 2 {
			if got := p.Get(want).Cap(); got < want {
				t.Fatalf("after %d bytes: a chunk of %d has %d", n, want, got)
			}
		}
	}
}
