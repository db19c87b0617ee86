package handover

import (
	"context"
	"sync"
	"time"
)

// DefaultTimeout and DefaultPatience are what a zero Timeout and Patience mean.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultPatience = time.Minute
)

// MaxQueue limits GiverConfig.Queue.
const MaxQueue = 1024

const defaultQueue = 64

// pulseEvery is how often a giver that has nothing to send says that it is alive, and pulsesMin how
// often it does so within its Timeout at least, which is likely that of the taker.
const (
	pulseEvery = time.Second
	pulsesMin  = 4
)

// GiverConfig is what a Giver gives, and whom it tells. The functions are called by the goroutine
// of Run. They must not block, and may call Post and Finish.
type GiverConfig struct {
	// StateVersion is the format of Item.State. To a taker with another one only listeners move.
	StateVersion uint32

	// Listeners are copied to the taker. Their descriptors must stay open until Run returns.
	Listeners []Listener

	// Secrets go to the taker with the listeners, such as the keys of TLS session tickets: at most
	// MaxSecrets bytes. Run wipes them before it returns.
	Secrets []byte

	Timeout  time.Duration // how long the taker may make no progress; 0: DefaultTimeout
	Patience time.Duration // how long it may take from its HELLO to READY; 0: DefaultPatience
	Queue    int           // how many batches may be posted and not settled, up to MaxQueue; 0: 64

	// Ready is called when the taker accepts connections: the giver stops accepting, keeps its
	// listeners open, and begins to post. If listenersOnly is set, the taker cannot read the
	// states: Post returns ErrOver. nil: nothing.
	Ready func(listenersOnly bool)

	// Settled is called once for each batch that Post accepted: see Batch.Taken. nil: nothing.
	Settled func(*Batch)
}

// Giver is the old process's side of one handover.
type Giver struct {
	config  GiverConfig
	stream  stream
	state   giverState
	begun   bool // the first step is done
	ready   bool // the taker accepts
	failing bool // what is queued is read, nothing more is sent
	pulsing bool // only a pulse is to be sent
	nextID  uint32
	asked   time.Time // when the taker has said HELLO
	sentAt  time.Time // the last time that anything was sent
	pulse   time.Duration
	unacked []*Batch // sent or to be sent, in order
	err     error    // of the end

	mu       sync.Mutex
	open     bool     // for Post: Ready has been called
	only     bool     // only listeners can move
	posted   []*Batch // not yet in unacked
	count    int      // of posted and unacked
	finished bool
}

type giverState uint8

const (
	greeting giverState = iota // waits for HELLO
	listing                    // sends listeners
	waiting                    // for READY
	moving                     // sends batches
	ending                     // DONE is sent or queued
	ended
)

// NewGiver returns a Giver on t, which it closes in the end.
func NewGiver(t Transport, config GiverConfig) *Giver {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Patience == 0 {
		config.Patience = DefaultPatience
	}
	if config.Queue == 0 {
		config.Queue = defaultQueue
	}
	config.Queue = min(config.Queue, MaxQueue)
	g := &Giver{config: config, pulse: min(pulseEvery, config.Timeout/pulsesMin)}
	g.stream.t = t
	return g
}

// Run runs the handover until its end, or until ctx is done. The Giver's Transport must be a
// Waiter. Each batch is settled when Run returns.
//
// nil means that the taker has everything that it is going to get: the caller closes its listeners.
// A *BrokenError means that the taker was ready, perhaps before Ready could be called, and may be
// serving; the caller accepts again, or goes on. With any other error nothing has changed:
// ErrTimeout, ErrClosed, ErrVersion, ErrMalformed, a *RefusedError, or the cause of ctx.
func (g *Giver) Run(ctx context.Context) error {
	run(ctx, g.stream.t.(Waiter), g.step, g.fail)
	return g.err
}

// Post gives a batch to the taker, after those posted before. It does not block, and may be called
// from any goroutine, first by Ready. On an error the batch is still the caller's, and Settled is
// not called: ErrFull, ErrTooLarge, or ErrOver before Ready, after Finish and after the end.
func (g *Giver) Post(b *Batch) error {
	b.size = 0
	for _, it := range b.Items {
		b.size += len(it.State)
	}
	if len(b.Items) == 0 || len(b.Items) > MaxDescriptors || b.size > MaxState {
		return ErrTooLarge
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open || g.only || g.finished {
		return ErrOver
	}
	if g.count == g.config.Queue {
		return ErrFull
	}
	b.Taken, b.Err = Set{}, nil
	g.posted = append(g.posted, b)
	g.count++
	wake(g.stream.t)
	return nil
}

// Finish says that no further batch will be posted. The handover ends when those posted before are
// settled. It may be called from any goroutine, also by Ready. A second call does nothing.
func (g *Giver) Finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.finished = true
	wake(g.stream.t)
}
