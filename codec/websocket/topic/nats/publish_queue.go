package nats

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// queue is what waits to be published or acknowledged, by topic. One pack of each topic is on its
// way at a time, so nothing overtakes when packs are sent again.
type queue struct {
	kick       chan struct{} // has one if there is something to send
	maxPayload atomic.Int64
	maxPack    atomic.Int64 // a pack that has as many bytes gets no more messages

	mu      sync.Mutex
	topics  map[string]*outbox
	ready   []*outbox          // with a pack that can be sent, unless idle
	sent    map[uint64]*outbox // with a pack on its way
	next    uint64             // token
	bytes   int
	count   int
	closed  bool
	empty   chan struct{} // closed when it is closed and empty
	down    time.Time     // since when nothing can be sent; zero if it can
	expired time.Time     // when expire has looked last
}

// outbox is what waits for one topic. It goes when it is empty.
type outbox struct {
	topic, subject string
	packs          []pack
	// Of the first pack, once it was sent.
	token   uint64 // 0 if it was not
	tries   int
	retryAt time.Time
}

// pack is a message of NATS to be.
type pack struct {
	data  []byte // as it is sent
	bytes int    // of its messages
	count int    // of these
	since time.Time
}

func (q *queue) init() {
	q.kick = make(chan struct{}, 1)
	q.topics = make(map[string]*outbox)
	q.sent = make(map[uint64]*outbox)
	q.empty = make(chan struct{})
	q.limit(payloadSize, 0)
}

// limit notes what the server takes, and the stream, unless that is 0. Packs stay below both, so
// that only a message that is too large by itself is refused.
func (q *queue) limit(payload, stored int64) {
	q.maxPayload.Store(payload)
	if stored > 0 {
		payload = min(payload, stored)
	}
	q.maxPack.Store(min(payload-headerRoom, packBytes))
}

// add puts a message into the last pack, if that is not on its way and has room for most bytes.
func (o *outbox) add(op websocket.Opcode, data []byte, most int) {
	n := len(o.packs)
	if n == 0 || n == 1 && o.token != 0 || o.packs[n-1].count == packMessages ||
		len(o.packs[n-1].data)+len(data) > most {
		o.packs = append(o.packs, pack{since: time.Now()})
		n++
	}
	p := &o.packs[n-1]
	p.data = appendMessage(p.data, op, data)
	p.bytes += len(data)
	p.count++
}

// split makes two packs of the first one if it has more than most bytes: they were put together
// before it was known what the server takes.
func (o *outbox) split(most int) {
	p := &o.packs[0]
	if p.count == 1 || len(p.data) <= most+headerRoom/2 { // with what add does not count
		return
	}
	first := pack{since: p.since}
	for end := 0; first.count < p.count; {
		size, n := binary.Uvarint(p.data[end+1:])
		if end += 1 + n + int(size); first.count > 0 && end > most {
			break
		}
		first.data = p.data[:end:end]
		first.bytes += int(size)
		first.count++
	}
	p.data = p.data[len(first.data):]
	p.bytes -= first.bytes
	p.count -= first.count
	o.packs = slices.Insert(o.packs, 0, first)
}

// makeReady says that the first pack of a topic can be sent. q.mu is held.
func (q *queue) makeReady(o *outbox) {
	q.ready = append(q.ready, o)
	q.wakeUp()
}

func (q *queue) wakeUp() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// unsend notes that a pack was not sent, not even in part.
func (q *queue) unsend(o *outbox) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sent[o.token] != o {
		return // it was given up meanwhile
	}
	delete(q.sent, o.token)
	o.token, o.tries = 0, 0
	q.ready = append([]*outbox{o}, q.ready...)
}

// done forgets an outbox's first pack, and makes the next one ready. q.mu is held.
func (q *queue) done(o *outbox) {
	p := &o.packs[0]
	q.count -= p.count
	q.bytes -= p.bytes
	sent := o.token != 0
	if sent {
		delete(q.sent, o.token)
		o.token, o.tries = 0, 0
		if len(q.ready) == 0 || len(q.sent) == window-1 {
			q.wakeUp()
		}
	}
	*p = pack{}
	o.packs = o.packs[1:]
	if len(o.packs) == 0 {
		delete(q.topics, o.topic)
		if q.closed && len(q.topics) == 0 {
			close(q.empty)
		}
	} else if sent {
		q.makeReady(o)
	}
}

// pending returns the messages and bytes that wait.
func (q *queue) pending() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// failure is messages that were given up.
type failure struct {
	topic string
	count int
}

// giveUpMax is how many topics giveUp looks at before others have their turn: Publish waits for the
// lock, on loops.
const giveUpMax = 1024

// giveUp forgets first packs as long as old says so, which is called with the lock held.
func (q *queue) giveUp(old func(*outbox) bool) (gone []failure) {
	q.mu.Lock()
	all := slices.AppendSeq(make([]*outbox, 0, len(q.topics)), maps.Values(q.topics))
	q.mu.Unlock()
	for part := range slices.Chunk(all, giveUpMax) {
		q.mu.Lock()
		for _, o := range part {
			f := failure{topic: o.topic}
			for len(o.packs) > 0 && old(o) {
				f.count += o.packs[0].count
				q.done(o)
			}
			if f.count > 0 {
				gone = append(gone, f)
			}
		}
		q.mu.Unlock()
	}
	if len(gone) > 0 {
		q.mu.Lock()
		q.ready = slices.DeleteFunc(q.ready, (*outbox).idle)
		q.mu.Unlock()
	}
	return gone
}

// idle reports whether an outbox has nothing that can be sent. It may still be in queue.ready, or
// be there twice.
func (o *outbox) idle() bool { return len(o.packs) == 0 || o.token != 0 }
