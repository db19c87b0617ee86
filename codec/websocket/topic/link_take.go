package topic

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
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
		slog.Error("topic: the old process gives no topics, they begin anew", "format", format, "error", err)
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

	waits atomic.Int32 // for mu: see rest

	mu      sync.Mutex
	topics  map[string]bool              // that are subscribed to
	members map[string]map[string]Member // by topic, that are present here
	sent    []publish                    // that were not taken yet
	size    int                          // of these
	taken   uint64                       // publishes before
	asked   map[uint64]request           // by number
	waiting map[string][]membersFunc     // by topic, until the question about it is answered
	last    uint64                       // number
	begins  bool                         // local has all but what is in sent
	anew    bool                         // the old process is dead
	flooded bool                         // so much is published that nothing else begins
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
