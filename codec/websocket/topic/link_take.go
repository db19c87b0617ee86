package topic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/internal/saved"
)

var errStarted = errors.New("topic: the Hub was used before it has inherited")

// helloTime is how long Take waits for the old process's Hub.
const helloTime = 2 * inheritTime

// Take implements engine.Link: the Hub takes over the topics of the old process's Hub. It must not
// have been used. As long as the old process has connections, it also has the topics, and this Hub
// publishes there: see the guide docs/topics.md.
func (h *Hub) Take(conn net.Conn) error {
	if h.Broker != nil {
		return conn.Close()
	}
	k := newLink(conn)
	conn.SetReadDeadline(time.Now().Add(helloTime))
	_, r, err := k.receive()
	format := r.Byte()
	if err != nil || format != linkFormat || r.Err() != nil { // nothing, or another version
		k.fail(net.ErrClosed)
		return nil
	}
	conn.SetReadDeadline(time.Time{})
	h.taken = k
	if err := h.start(); err != nil {
		k.fail(err)
		return err
	}
	if i, ok := h.broker.(*heir); !ok || i.link != k {
		k.fail(errStarted)
		return errStarted
	}
	return nil
}

// heir is the Broker of a Hub whose topics another process has at first. When that has no
// connections any more, it gives them to this one. If it dies before, the topics begin anew: their
// epochs are others, so that all subscribers are told of a gap.
type heir struct {
	local *local
	link  *link
	sink  Sink
	own   atomic.Bool   // local has the topics
	owned chan struct{} // closed then

	installing *localTopic // whose history comes

	mu      sync.Mutex
	topics  map[string]bool              // that are subscribed to
	members map[string]map[string]Member // by topic, that are present here
	sent    []publish                    // that were not taken yet
	size    int                          // of these
	taken   uint64                       // publishes before
	asked   map[uint64]request           // by number
	waiting map[string][]membersFunc     // by topic, until the question about it is answered
	last    uint64                       // number
}

// publish is a message on its way to the old process.
type publish struct {
	topic string
	op    websocket.Opcode
	data  []byte
}

// request is a question to the old process. Either of these is set.
type request struct {
	topic   string
	after   Position
	limit   int
	done    func([]Message, bool, error)
	members []membersFunc
}

func newHeir(l *local, k *link) *heir {
	return &heir{local: l, link: k, owned: make(chan struct{}), topics: make(map[string]bool),
		members: make(map[string]map[string]Member), asked: make(map[uint64]request),
		waiting: make(map[string][]membersFunc)}
}

// Start implements Broker.
func (i *heir) Start(sink Sink, options func(string) Options) error {
	i.sink = sink
	i.local.Start(sink, options)
	i.local.lend()
	go i.run()
	return nil
}

// await waits until the topics are here. It reports false if that takes too long.
func (i *heir) await(limit time.Duration) bool {
	select {
	case <-i.owned:
		return true
	case <-time.After(limit):
		return false
	}
}

// elsewhere locks i if the old process has the topics.
func (i *heir) elsewhere() bool {
	if i.own.Load() {
		return false
	}
	i.mu.Lock()
	if i.own.Load() {
		i.mu.Unlock()
		return false
	}
	return true
}

// Publish implements Broker.
func (i *heir) Publish(name string, op websocket.Opcode, data []byte) error {
	if !i.elsewhere() {
		return i.local.Publish(name, op, data)
	}
	defer i.mu.Unlock()
	if i.size > linkMax/4 {
		return engine.ErrBusy
	}
	p := publish{name, op, bytes.Clone(data)}
	i.sent = append(i.sent, p)
	i.size += p.cost()
	i.link.send(framePublish, func(b []byte) []byte {
		return append(append(saved.AppendBytes(b, name), byte(op)), data...)
	})
	return nil
}

func (p *publish) cost() int { return messageCost + len(p.topic) + len(p.data) }

// Subscribe implements Broker.
func (i *heir) Subscribe(name string) error {
	if !i.elsewhere() {
		return i.local.Subscribe(name)
	}
	defer i.mu.Unlock()
	i.topics[name] = true
	i.link.send(frameSubscribe, func(b []byte) []byte { return saved.AppendBytes(b, name) })
	return nil
}

// Unsubscribe implements Broker.
func (i *heir) Unsubscribe(name string) {
	if !i.elsewhere() {
		i.local.Unsubscribe(name)
		return
	}
	defer i.mu.Unlock()
	delete(i.topics, name)
	i.link.send(frameUnsubscribe, func(b []byte) []byte { return saved.AppendBytes(b, name) })
}

// History implements Broker.
func (i *heir) History(name string, after Position, limit int, done func([]Message, bool, error)) {
	if !i.elsewhere() {
		i.local.History(name, after, limit, done)
		return
	}
	defer i.mu.Unlock()
	i.ask(request{topic: name, after: after, limit: limit, done: done}, frameHistory, func(b []byte) []byte {
		b = appendPosition(saved.AppendBytes(b, name), after)
		return binary.AppendUvarint(b, uint64(limit))
	})
}

// Join implements PresenceBroker.
func (i *heir) Join(name string, m Member) error {
	if !i.elsewhere() {
		return i.local.Join(name, m)
	}
	defer i.mu.Unlock()
	if i.members[name] == nil {
		i.members[name] = make(map[string]Member)
	}
	i.members[name][m.ID] = m
	i.link.send(frameJoin, func(b []byte) []byte { return appendMember(saved.AppendBytes(b, name), &m) })
	return nil
}

// Leave implements PresenceBroker.
func (i *heir) Leave(name string, id string) {
	if !i.elsewhere() {
		i.local.Leave(name, id)
		return
	}
	defer i.mu.Unlock()
	delete(i.members[name], id)
	i.link.send(frameLeave, func(b []byte) []byte { return saved.AppendBytes(saved.AppendBytes(b, name), id) })
}

// ask sends a request, with a number before it. If the link has broken, begin asks local.
func (i *heir) ask(q request, kind byte, fields func(b []byte) []byte) {
	i.last++
	i.asked[i.last] = q
	i.link.send(kind, func(b []byte) []byte { return fields(binary.AppendUvarint(b, i.last)) })
}

// answered returns the request of a number, once.
func (i *heir) answered(id uint64) request {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := i.asked[id]
	delete(i.asked, id)
	return q
}

// run does what the old process tells.
func (i *heir) run() {
	for {
		kind, r, err := i.link.receive()
		if err == nil && kind == frameEverything {
			taken := r.Uvarint(math.MaxUint64)
			if err = r.Err(); err == nil {
				i.begin(taken)
				i.link.fail(net.ErrClosed)
				return
			}
		}
		if err == nil {
			i.do(kind, &r)
			err = r.Err()
		}
		if err != nil {
			i.beginAnew(fmt.Errorf("topic: the old process is gone: %w", err))
			return
		}
	}
}

func (i *heir) do(kind byte, r *saved.Reader) {
	switch kind {
	case frameSubscribed:
		name, at := readName(r), readPosition(r)
		i.sink.Subscribed(name, at)
	case frameDeliver:
		name, m := readName(r), readMessage(r)
		i.sink.Deliver(name, m)
	case framePresent:
		name, joined := readName(r), readMembers(r)
		i.sink.Present(name, joined, readMembers(r))
	case frameTaken:
		i.mu.Lock()
		i.dropTaken(r.Uvarint(math.MaxUint64))
		i.mu.Unlock()
	case frameAnswer:
		q, complete := i.answered(r.Uvarint(math.MaxUint64)), r.Byte() == 1
		var msgs []Message
		for n := r.Uvarint(math.MaxInt32); n > 0 && r.Err() == nil; n-- {
			msgs = append(msgs, readMessage(r))
		}
		if r.Check(q.done != nil); r.Err() == nil {
			q.done(msgs, complete, nil)
		}
	case frameMembersAre:
		q, all := i.answered(r.Uvarint(math.MaxUint64)), readMembers(r)
		if r.Check(q.members != nil); r.Err() == nil {
			i.askWaiting(q.topic)
			toAll(q.members)(all, nil)
		}
	default:
		i.install(kind, r)
	}
}

// install does what the old process gives.
func (i *heir) install(kind byte, r *saved.Reader) {
	l := i.local
	now := l.clock.Now()
	switch kind {
	case frameTopic:
		name, last := readName(r), readPosition(r)
		i.installing = l.install(name, last, now.Add(-time.Duration(r.Uvarint(math.MaxInt64))))
	case frameKept:
		at := now.Add(-time.Duration(r.Uvarint(math.MaxInt64)))
		m := readMessage(r)
		if t := i.installing; t != nil && r.Err() == nil {
			m.forms = new(forms)
			l.keepAt(t, m, at)
		}
	case frameRoster:
		roster := l.presence.obtain(readName(r))
		for _, m := range readMembers(r) {
			roster.join(m)
		}
	default:
		r.Fail()
	}
}

// dropTaken forgets what was published, up to a number.
func (i *heir) dropTaken(taken uint64) {
	for ; i.taken < taken && len(i.sent) > 0; i.taken++ {
		i.size -= i.sent[0].cost()
		i.sent[0] = publish{}
		i.sent = i.sent[1:]
	}
}
