package nats

import (
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

	mu      sync.Mutex
	topics  map[string]*outbox
	ready   []*outbox          // with a pack that can be sent
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
	q.maxPayload.Store(payloadSize)
}

// add puts a message into the last pack, if that is not on its way and has room.
func (o *outbox) add(op websocket.Opcode, data []byte) {
	n := len(o.packs)
	if n == 0 || n == 1 && o.token != 0 || o.packs[n-1].count == packMessages ||
		len(o.packs[n-1].data)+len(data) > packBytes {
		o.packs = append(o.packs, pack{since: time.Now()})
		n++
	}
	p := &o.packs[n-1]
	p.data = appendMessage(p.data, op, data)
	p.bytes += len(data)
	p.count++
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

// giveUp forgets first packs as long as old says so. q.mu is held.
func (q *queue) giveUp(old func(*outbox) bool) (gone []failure) {
	waiting := false
	for _, o := range q.topics {
		f := failure{topic: o.topic}
		for len(o.packs) > 0 && old(o) {
			f.count += o.packs[0].count
			q.done(o)
		}
		if f.count > 0 {
			gone = append(gone, f)
			waiting = true
		}
	}
	if waiting {
		// Some that are ready have nothing left, and some may be there twice.
		q.ready = q.ready[:0:0]
		for _, o := range q.topics {
			if o.token == 0 {
				q.makeReady(o)
			}
		}
	}
	return gone
}
