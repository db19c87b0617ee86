package nats

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	retryInterval = 250 * time.Millisecond // after a failure, with jitter
	keepInterval  = 100 * time.Millisecond
	suspectGrace  = 300 * time.Millisecond // for messages that are on their way
)

// keeper is the state of the goroutine that keeps the connection, the stream, and the subscriptions.
type keeper struct {
	wake                 chan struct{} // has one if there is something to do
	inbox, acks, elected *nats.Subscription

	nextTry   time.Time // of sync
	nextCheck time.Time
	soon      bool // check once more after the next check
	opened    bool // ready is closed
	warned    bool // of a history that is too long

	mu      sync.Mutex
	ops     []operation
	hurry   bool // check now
	lastErr error
}

// operation is a Subscribe or Unsubscribe that waits for the keeper.
type operation struct {
	topic, token string
	subscribe    bool
}

func (k *keeper) init() {
	k.wake = make(chan struct{}, 1)
	k.soon = true
}

// wakeUp makes the keeper look at what there is to do.
func (k *keeper) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// checkNow makes the keeper check for messages that did not come.
func (k *keeper) checkNow() {
	k.mu.Lock()
	k.hurry = true
	k.mu.Unlock()
	k.wakeUp()
}

func (k *keeper) lastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastErr
}

// failed notes and logs an error, and makes the keeper try again later.
func (b *Broker) failed(what string, err error) {
	k := &b.keeper
	k.nextTry = time.Now().Add(jitter(retryInterval))
	k.mu.Lock()
	repeated := k.lastErr != nil && k.lastErr.Error() == err.Error()
	k.lastErr = err
	k.mu.Unlock()
	if !repeated && b.ctx.Err() == nil {
		b.cfg.log.Warn("nats: "+what, "error", err)
	}
}

// jitter returns between 3/4 and 5/4 of d.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(max(d/2, 1))
}

// keep connects, and keeps everything as it should be until the Broker ends.
func (b *Broker) keep() {
	for !b.connect() {
		b.pause(jitter(retryInterval))
		if b.ctx.Err() != nil {
			return
		}
	}
	k, nc := &b.keeper, b.nc.Load()
	status := nc.StatusChanged()
	defer nc.RemoveStatusListener(status)
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-status:
		case <-k.wake:
		case <-tick.C:
		}
		if b.Conn != nil {
			b.generation.Store(1 + nc.Stats().Reconnects)
		}
		b.subscribeQueued(nc)
		if !nc.IsConnected() {
			continue
		}
		now := time.Now()
		if now.Before(k.nextTry) {
			continue
		}
		if !b.isSynced() && !b.sync(nc) {
			continue
		}
		b.settle()
		k.mu.Lock()
		hurry := k.hurry
		k.hurry = false
		k.mu.Unlock()
		if hurry || now.After(k.nextCheck) {
			b.check()
		}
		b.topics.tellSuspects(b, now)
	}
}

// isSynced reports whether the epoch of the present connection's stream is known.
func (b *Broker) isSynced() bool {
	g := b.generation.Load()
	return g != 0 && b.synced.Load() == g
}

// dialer counts the connections before they are used.
type dialer struct {
	net.Dialer
	b *Broker
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.b.generation.Add(1)
	return d.Dialer.DialContext(d.b.ctx, network, address)
}

// connect reports whether there is a connection. It need not be connected yet.
func (b *Broker) connect() bool {
	nc := b.Conn
	if nc == nil {
		var err error
		options := append([]nats.Option{
			nats.Name("myriad topics " + b.node),
			nats.MaxReconnects(-1),
			nats.ReconnectWait(100 * time.Millisecond),
			nats.ReconnectJitter(200*time.Millisecond, 200*time.Millisecond),
			nats.ReconnectBufSize(-1), // the queue is ours
			nats.RetryOnFailedConnect(true),
			nats.PingInterval(time.Second),
			nats.MaxPingsOutstanding(3),
			nats.FlusherTimeout(3 * time.Second),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				b.cfg.log.Warn("nats: error of the connection", "error", err)
			}),
			nats.SetCustomDialer(&dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, b: b}),
		}, b.Options...)
		if nc, err = nats.Connect(b.cfg.url, options...); err != nil {
			b.failed("not connected", err)
			return false
		}
	}
	previous := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) && sub != nil && b.slow(sub) {
			return
		}
		if previous != nil {
			previous(nc, sub, err)
		}
	})
	b.nc.Store(nc)
	if err := b.listen(nc); err != nil {
		b.failed("no subscriptions", err)
		return false
	}
	return true
}

// listen subscribes to what is not a topic's.
func (b *Broker) listen(nc *nats.Conn) (err error) {
	k, inbox := &b.keeper, b.asks.inbox
	if k.inbox, err = nc.Subscribe(inbox+".r.*", b.asks.answer); err != nil {
		return err
	}
	if k.acks, err = nc.Subscribe(inbox+".a.*", b.acknowledged); err != nil {
		return err
	}
	// A new leader may have republished nothing of what the old one had stored last.
	k.elected, err = nc.Subscribe("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."+b.cfg.stream,
		func(*nats.Msg) { k.checkNow() })
	if err != nil {
		return err
	}
	return b.listenPresence(nc)
}

// disconnect ends what listen and connect began.
func (b *Broker) disconnect(nc *nats.Conn) {
	if b.Conn == nil {
		nc.Close()
		return
	}
	for _, s := range []*nats.Subscription{b.keeper.inbox, b.keeper.acks, b.keeper.elected} {
		if s != nil {
			_ = s.Unsubscribe()
		}
	}
	b.topics.unsubscribeAll()
	b.presence.unsubscribeAll()
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	_ = nc.FlushWithContext(ctx)
}

// sync makes sure of the stream and its epoch, after the connection was lost. It reports whether
// it could.
func (b *Broker) sync(nc *nats.Conn) bool {
	k, generation := &b.keeper, b.generation.Load()
	if err := b.openStream(nc); err != nil {
		b.failed("no stream", err)
		return false
	}
	epoch, upTo, err := b.mark()
	if err != nil {
		b.failed("no epoch", err)
		return false
	}
	old := b.epoch.Swap(epoch)
	if old != 0 && old != epoch {
		b.stats.resets.Add(1)
		b.cfg.log.Warn("nats: the stream has begun anew")
		b.failSent(ErrReset)
		b.topics.reset(b, upTo)
	}
	b.synced.Store(generation)
	b.stats.syncs.Add(1)
	k.mu.Lock()
	k.lastErr = nil
	k.mu.Unlock()
	k.nextCheck, k.soon = time.Time{}, true
	if !k.opened {
		k.opened = true
		close(b.ready)
	}
	b.resendAll()
	b.presence.announceAll()
	return true
}

// check asks for the last message of every topic, and notes which of them did not come.
func (b *Broker) check() {
	k, start := &b.keeper, time.Now()
	epoch, _, err := b.mark()
	if err == nil && epoch != b.epoch.Load() {
		b.synced.Store(0) // which makes sync look closer
		k.wakeUp()
		return
	}
	if err == nil {
		err = b.checkTopics(start)
	}
	if err != nil {
		b.failed("messages could not be checked", err)
		k.checkNow()
		return
	}
	if !b.isSynced() {
		k.wakeUp()
		return
	}
	b.stats.checks.Add(1)
	k.nextCheck = start.Add(jitter(b.cfg.check))
	if k.soon {
		// A cluster may have learned of the subscriptions only now.
		k.soon = false
		k.nextCheck = earlier(k.nextCheck, start.Add(time.Second))
	}
}

// checkTopics writes a message to the stream, and then asks for the last messages of all topics and
// that one, in parts: so each part comes from a server that has everything stored before.
func (b *Broker) checkTopics(start time.Time) error {
	mine := b.subject("check", b.node)
	m := nats.NewMsg(mine)
	m.Header.Set(headerTTL, "60s")
	seen := b.topics.seen.Load()
	a, err := b.store(m)
	if err != nil {
		return err
	}
	from := b.topics.checkedUpTo() + 1
	if a.Seq <= max(from-1, seen) {
		return b.cutOff()
	}
	subjects := b.topics.subjects(b.cfg.prefix + ".in.")
	for part := range chunks(subjects, askTopics) {
		if err := b.checkPart(part, mine, from, a.Seq); err != nil {
			return err
		}
	}
	b.topics.checked(a.Seq, start)
	return nil
}

// checkPart checks some topics from a sequence on. The last messages of mine is at upTo.
func (b *Broker) checkPart(subjects []string, mine string, from, upTo uint64) error {
	all := append(subjects[:len(subjects):len(subjects)], mine)
	for range 20 {
		a, err := b.get(getRequest{LastOf: all, Seq: from})
		if err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		for _, m := range a.msgs {
			seq, subject := number(m, headerSequence), m.Header.Get(headerSubject)
			if subject == mine {
				if seq >= upTo {
					return nil
				}
				continue
			}
			b.topics.suspect(b.outOf(subject), seq)
			if a.more {
				from = max(from, seq+1) // the answers come in the order of the stream
			}
		}
		if !a.more {
			b.pause(50 * time.Millisecond) // a replica that lags behind; perhaps another one answers
		}
	}
	return ErrTimeout
}
