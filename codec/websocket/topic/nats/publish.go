package nats

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

const (
	window      = 1024 // packs on their way to the stream
	ackTimeout  = 2 * time.Second
	maxBackoff  = 8 * time.Second
	headerRoom  = 1024    // of a server's maximal payload
	payloadSize = 1 << 20 // of a server that is not known yet
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

// Publish implements topic.Broker. The error is engine.ErrBusy if the queue is full, and ErrDown if
// nothing could be sent for longer than the PublishTimeout.
func (b *Broker) Publish(name string, op websocket.Opcode, data []byte) error {
	q := &b.queue
	if int64(len(data)) > q.maxPayload.Load()-headerRoom {
		return ErrTooLarge
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return topic.ErrClosed
	case !q.down.IsZero() && time.Since(q.down) > b.cfg.publish:
		return ErrDown
	case q.count >= b.cfg.maxCount || q.bytes+len(data) > b.cfg.maxBytes:
		return errBusy
	}
	o := q.topics[name]
	if o == nil {
		token, err := escape(name)
		if err != nil {
			return err
		}
		o = &outbox{topic: name, subject: b.subject("in", token)}
		q.topics[name] = o
		q.makeReady(o)
	}
	o.add(op, data)
	q.count++
	q.bytes += len(data)
	b.stats.published.Add(1)
	return nil
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

// publish sends what waits until the Broker ends.
func (b *Broker) publish() {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	m := nats.NewMsg("")
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.queue.kick:
		case now := <-tick.C:
			b.expire(now)
			b.sendAgain(m, now)
		}
		b.sendReady(m)
	}
}

// sendReady sends first packs that were not sent yet.
func (b *Broker) sendReady(m *nats.Msg) {
	q := &b.queue
	for b.canSend() {
		q.mu.Lock()
		if len(q.ready) == 0 || len(q.sent) >= window {
			q.mu.Unlock()
			return
		}
		o := q.ready[0]
		q.ready[0] = nil
		if q.ready = q.ready[1:]; len(q.ready) == 0 {
			q.ready = nil
		}
		q.next++
		o.token, o.tries = q.next, 1
		o.retryAt = time.Now().Add(ackTimeout)
		q.sent[o.token] = o
		b.prepare(m, o)
		q.mu.Unlock()
		b.stats.packs.Add(1)
		if !b.send(m) {
			q.unsend(o)
			return
		}
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

// canSend reports whether the stream may be reached.
func (b *Broker) canSend() bool {
	nc := b.nc.Load()
	return nc != nil && b.isSynced() && nc.IsConnected()
}

// prepare makes the message for an outbox's first pack. The token makes its identifier, so it is the
// same each time that the pack is sent.
func (b *Broker) prepare(m *nats.Msg, o *outbox) {
	token := strconv.FormatUint(o.token, 36)
	m.Subject, m.Data = o.subject, o.packs[0].data
	m.Reply = b.asks.inbox + ".a." + token
	m.Header[headerID] = append(m.Header[headerID][:0], b.node+token)
}

// send sends a message. It may wait for the connection. It reports false if there is none, so that
// nothing was sent.
func (b *Broker) send(m *nats.Msg) bool {
	err := b.nc.Load().PublishMsg(m)
	if err != nil {
		b.cfg.log.Debug("nats: not sent", "subject", m.Subject, "error", err)
	}
	return !errors.Is(err, nats.ErrReconnectBufExceeded) && !errors.Is(err, nats.ErrConnectionClosed)
}

// sendAgain sends packs again whose acknowledgement did not come.
func (b *Broker) sendAgain(m *nats.Msg, now time.Time) {
	q := &b.queue
	q.mu.Lock()
	var again []*outbox
	var tokens []uint64
	for token, o := range q.sent {
		if now.After(o.retryAt) {
			again, tokens = append(again, o), append(tokens, token)
		}
	}
	q.mu.Unlock()
	for i, o := range again {
		if !b.canSend() {
			return
		}
		q.mu.Lock()
		due := q.sent[tokens[i]] == o
		if due {
			o.retryAt = time.Now().Add(min(ackTimeout<<min(o.tries, 4), maxBackoff))
			o.tries++
			b.prepare(m, o)
		}
		q.mu.Unlock()
		if due {
			b.stats.resent.Add(1)
			b.send(m)
		}
	}
}

// acknowledged takes the stream's answer to a pack.
func (b *Broker) acknowledged(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	a, err := parseAck(m)
	q := &b.queue
	q.mu.Lock()
	o := q.sent[token]
	if o == nil {
		q.mu.Unlock()
		return
	}
	name, count := o.topic, o.packs[0].count
	hopeless := a.Error != nil && a.Error.Code == codeTooLarge
	switch {
	case err == nil:
		b.stats.stored.Add(int64(count))
		q.done(o)
	case hopeless:
		q.done(o)
	default:
		o.retryAt = time.Now().Add(min(keepInterval<<min(o.tries, 6), ackTimeout))
	}
	q.mu.Unlock()
	if hopeless {
		b.fail(name, count, err)
	}
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

// resendAll sends everything again that is on its way, after the connection was lost.
func (b *Broker) resendAll() {
	q := &b.queue
	q.maxPayload.Store(b.nc.Load().MaxPayload())
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.sent {
		o.retryAt = time.Time{}
	}
	q.wakeUp()
}

// failure is messages that were given up.
type failure struct {
	topic string
	count int
}

// expire gives up what has waited too long.
func (b *Broker) expire(now time.Time) {
	q := &b.queue
	q.mu.Lock()
	if b.canSend() {
		q.down = time.Time{}
	} else if q.down.IsZero() {
		q.down = now
	}
	var gone []failure
	if now.Sub(q.expired) >= min(time.Second, b.cfg.publish) {
		q.expired = now
		gone = q.giveUp(func(o *outbox) bool { return now.Sub(o.packs[0].since) > b.cfg.publish })
	}
	q.mu.Unlock()
	b.failThese(gone, ErrTimeout)
}

// failSent gives up what is on its way.
func (b *Broker) failSent(err error) {
	q := &b.queue
	q.mu.Lock()
	sent := make(map[*outbox]bool, len(q.sent))
	for _, o := range q.sent {
		sent[o] = true
	}
	gone := q.giveUp(func(o *outbox) bool {
		was := sent[o]
		delete(sent, o) // only its first pack
		return was
	})
	q.mu.Unlock()
	b.failThese(gone, err)
}

// failAll gives up everything.
func (b *Broker) failAll(err error) {
	q := &b.queue
	q.mu.Lock()
	gone := q.giveUp(func(*outbox) bool { return true })
	q.mu.Unlock()
	b.failThese(gone, err)
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

func (b *Broker) failThese(gone []failure, err error) {
	for _, f := range gone {
		b.fail(f.topic, f.count, err)
	}
}

// drain lets nothing more in, and waits until everything is stored.
func (b *Broker) drain(ctx context.Context) error {
	q := &b.queue
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		if len(q.topics) == 0 {
			close(q.empty)
		}
	}
	q.mu.Unlock()
	select {
	case <-q.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
