package nats

import (
	"math/rand/v2"
	"sync"
	"time"
	"unsafe"

	"github.com/nats-io/nats.go"
)

const (
	retryInterval = 250 * time.Millisecond // after a failure, with jitter
	keepInterval  = 100 * time.Millisecond
	suspectGrace  = 300 * time.Millisecond // for messages that are on their way
)

// keeper is the state of the goroutine that keeps the connection, the stream, and the
// subscriptions.
type keeper struct {
	wake                 chan struct{} // has one if there is something to do
	inbox, acks, elected *nats.Subscription

	nextTry   time.Time // of sync
	nextCheck time.Time
	soon      bool            // check once more after the next check
	opened    bool            // ready is closed
	warned    bool            // of a history that is too long
	followed  map[string]bool // topics whose members the node wants to know

	mu      sync.Mutex
	ops     []operation
	bytes   int  // of ops, and of those that the keeper has taken and not done
	hurry   bool // check now
	lastErr error
}

// operation is a Subscribe or Unsubscribe that waits for the keeper.
type operation struct {
	topic, token string
	subscribe    bool
}

// cost is about the memory of an operation.
func (o *operation) cost() int { return 2*int(unsafe.Sizeof(*o)) + len(o.topic) + len(o.token) }

func (k *keeper) init() {
	k.wake = make(chan struct{}, 1)
	k.soon = true
	k.followed = make(map[string]bool)
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

// recovered notes that all is well.
func (k *keeper) recovered() {
	k.mu.Lock()
	k.lastErr = nil
	k.mu.Unlock()
}

// failed notes and logs an error, and makes the keeper try again later.
func (b *Broker) failed(what string, err error) {
	b.keeper.nextTry = time.Now().Add(jitter(retryInterval))
	b.note(what, err)
}

// note notes an error for Ready, and logs it unless it is the one before. Any goroutine may call
// it.
func (b *Broker) note(what string, err error) {
	k := &b.keeper
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

// sync makes sure of the stream and its epoch, after the connection was lost. It reports whether
// it could.
func (b *Broker) sync(nc *nats.Conn) bool {
	k, generation := &b.keeper, b.generation.Load()
	if err := b.openStream(nc); err != nil {
		b.failed("no stream", err)
		return false
	}
	now, err := b.mark()
	if err != nil {
		b.failed("no epoch", err)
		return false
	}
	old := b.epoch.Swap(now.epoch)
	if old != 0 && old != now.epoch {
		b.stats.resets.Add(1)
		b.cfg.log.Warn("nats: the stream has begun anew")
		b.failSent(ErrReset)
		b.topics.reset(b, now.upTo)
	}
	b.synced.Store(generation)
	b.stats.syncs.Add(1)
	k.recovered()
	k.nextCheck, k.soon = time.Time{}, true
	if !k.opened {
		k.opened = true
		close(b.ready)
	}
	b.resendAll()
	b.presence.announceAll()
	return true
}
