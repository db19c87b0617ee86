package nats

import (
	"errors"
	"strconv"
	"strings"
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
	o.add(op, data, int(q.maxPack.Load()))
	q.count++
	q.bytes += len(data)
	b.stats.published.Add(1)
	return nil
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
		if o.idle() { // it was given up
			q.mu.Unlock()
			continue
		}
		q.next++
		o.token, o.tries = q.next, 1
		o.retryAt = time.Now().Add(ackTimeout)
		q.sent[o.token] = o
		o.split(int(q.maxPack.Load()))
		b.prepare(m, o)
		q.mu.Unlock()
		b.stats.packs.Add(1)
		if !b.send(m) {
			q.unsend(o)
			return
		}
	}
}

// canSend reports whether the stream may be reached.
func (b *Broker) canSend() bool {
	nc := b.nc.Load()
	return nc != nil && b.isSynced() && nc.IsConnected()
}

// prepare makes the message for an outbox's first pack. The token makes its identifier, so it is
// the same each time that the pack is sent.
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

// sameEpoch reports whether the stream is still the one that was sent to. What it had stored
// before it was lost may have been delivered, so it must not be sent to a new one. The connection
// may be to another server, and know nothing of that.
func (b *Broker) sameEpoch() bool {
	now, err := b.mark()
	if err != nil {
		return false
	}
	if now.epoch != b.epoch.Load() {
		b.synced.Store(0)
		b.keeper.wakeUp()
		return false
	}
	return true
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
	if len(again) == 0 || !b.canSend() || !b.sameEpoch() {
		return
	}
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

// resendAll sends everything again that is on its way, after the connection was lost.
func (b *Broker) resendAll() {
	q := &b.queue
	q.limit(b.nc.Load().MaxPayload(), b.topics.maxMsgSize.Load())
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.sent {
		o.retryAt = time.Time{}
	}
	q.wakeUp()
}
